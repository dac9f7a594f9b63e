"""Bytes of a sound file to samples: mono, of the rate that is asked for. One code for training and serving.

A block at a time, so that memory follows from what is kept, not from what a header says: an hour of silence
is 181 kB of FLAC, and a header may claim 68,719,476,735 frames.

Source: libsndfile by python-soundfile (decoding), libsoxr by python-soxr (resampling, quality HQ).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from bundle.errors import InputError

BLOCK = 65_536  # numbers that are decoded at a time
MOST_CHANNELS = 8
RATES = range(4_000, 192_001)  # Hz
LOUDEST = 8.0  # float samples go from -1 to 1; what is a little over it is a loud recording
UNKNOWN_FRAMES = 1 << 36  # what FLAC says where it was written into a pipe, and more
ANTIPHASE = 0.01  # of the channels' mean power is left in the mean of the channels
FORMATS = {"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"}
CODECS = {"PCM_16", "PCM_24", "PCM_32", "PCM_U8", "PCM_S8", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
CODECS |= {"VORBIS", "OPUS", "MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"}
_OGG_PAGE, _OGG_LAST = b"OggS", 4
_STREAMED = (0, 0xFFFFFFFF)  # sizes of RIFF that say nothing


@dataclass(frozen=True)
class Decoded:
    """Samples of a sound, and what was found on the way.

    Attributes:
        samples: float32 [t], t >= 1, mono.
        seconds: the length of the whole sound, by its header.
        rate: of the file, in Hz.
        is_antiphase: the channels cancel each other out, so that little is left of them.
        is_incomplete: the file ends before its end.
    """

    samples: npt.NDArray[np.float32]
    seconds: float
    rate: int
    is_antiphase: bool
    is_incomplete: bool


def decode(content: bytes, rate: int, *, most: int, from_start: bool = False) -> Decoded:
    """Decode and resample a sound, as much of it as is wanted.

    Args:
        content: of a WAV, FLAC, Ogg (Vorbis, Opus) or MP3 file.
        rate: of the result, in Hz.
        most: samples of the result.
        from_start: of a longer sound, drop the start and not the end.

    Raises:
        InputError: it cannot be decoded, has no samples, or some that are no numbers.
    """
    with _opened(content) as file:
        claimed, wanted = file.frames, math.ceil(most * file.samplerate / rate)
        if from_start and claimed > wanted:
            file.seek(claimed - wanted)
        mixed = _Mixed(file, min(claimed, wanted))
        stream = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32", quality="HQ")
        parts = [stream.resample_chunk(block) for block in mixed]
        samples = np.concatenate([*parts, stream.resample_chunk(np.zeros(0, np.float32), last=True)])
        if mixed.frames == 0 or len(samples) == 0:
            raise InputError(
                0, "empty_input", "there is no sample in the sound, or none that is whole; leave it out"
            )
        is_incomplete = mixed.frames < min(claimed, wanted) or _is_cut(content)
        seconds = claimed / file.samplerate
        return Decoded(samples[:most], seconds, file.samplerate, mixed.is_antiphase, is_incomplete)


def seconds_of(content: bytes) -> float:
    """The length of a sound by its header, which may lie. Raises InputError."""
    with _opened(content) as file:
        return float(file.frames / file.samplerate)


class _Mixed:
    """The mean of the channels, block by block, of so many frames at most."""

    def __init__(self, file: soundfile.SoundFile, most: int) -> None:
        self._file, self._most = file, most
        self.frames = 0
        self._power, self._mixed_power = 0.0, 0.0

    def __iter__(self) -> Iterator[npt.NDArray[np.float32]]:
        size = BLOCK // self._file.channels
        while self.frames < self._most:
            block = self._file.read(min(size, self._most - self.frames), dtype="float32", always_2d=True)
            if len(block) == 0:  # the file ends before its header says
                return
            self.frames += len(block)
            yield self._mix(block)

    def _mix(self, block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        peak = float(np.abs(block).max())
        if not math.isfinite(peak):
            raise InputError(0, "not_finite", "the sound has samples that are not finite; write it anew")
        if peak > LOUDEST:
            raise InputError(
                0, "out_of_range", f"samples reach {peak:.3g}; floats of a sound go from -1 to 1: divide them"
            )
        mixed = np.ascontiguousarray(block.mean(axis=1))
        if block.shape[1] > 1:
            self._power += float(np.square(block, dtype=np.float64).mean(axis=1).sum())
            self._mixed_power += float(np.square(mixed, dtype=np.float64).sum())
        return mixed

    @property
    def is_antiphase(self) -> bool:
        """Whether the channels cancel each other out."""
        return self._mixed_power < ANTIPHASE * self._power


@contextmanager
def _opened(content: bytes) -> Iterator[soundfile.SoundFile]:
    """The file, of a form that is taken. Errors of libsndfile are an InputError, without its words."""
    if not looks_like_sound(content):
        raise _damaged()
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            _check(file)
            yield file
    except (soundfile.SoundFileError, RuntimeError, ValueError, OverflowError, MemoryError):
        raise _damaged() from None


def _damaged() -> InputError:
    return InputError(
        0, "invalid_audio", "the sound cannot be decoded: the file is damaged or cut; write it anew"
    )


def looks_like_sound(content: bytes) -> bool:
    """Tell by the first bytes, so that the other thirty formats of libsndfile are never tried."""
    head = content[:12]
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return True
    is_mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0
    return head[:4] in (b"fLaC", _OGG_PAGE) or head[:3] == b"ID3" or is_mpeg


def _check(file: soundfile.SoundFile) -> None:
    """Raises InputError for what is not taken."""
    if file.format not in FORMATS or file.subtype not in CODECS:
        raise InputError(
            0,
            "invalid_audio",
            "the sound is of a form that is not taken; send PCM, FLAC, Vorbis, Opus or MP3",
        )
    if file.samplerate not in RATES or not 1 <= file.channels <= MOST_CHANNELS:
        raise InputError(
            0,
            "invalid_audio",
            f"{file.samplerate} Hz and {file.channels} channels; a sound has {RATES.start} to "
            f"{RATES.stop - 1} Hz and at most {MOST_CHANNELS} channels",
        )
    if file.frames >= UNKNOWN_FRAMES - 1:
        raise InputError(
            0,
            "invalid_audio",
            "the header does not say how long the sound is; write it to a file, not a pipe",
        )


def _is_cut(content: bytes) -> bool:
    """Whether the file is shorter than it says, in those formats whose decoders do not tell."""
    if content[:4] == b"RIFF":
        size = int.from_bytes(content[4:8], "little")
        return size not in _STREAMED and size + 8 > len(content) + 1  # a last odd byte may lack its pad
    if content[:4] == _OGG_PAGE:
        last = content.rfind(_OGG_PAGE)
        return len(content) < last + 6 or not content[last + 5] & _OGG_LAST
    return False
