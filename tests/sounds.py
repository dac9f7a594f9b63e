"""Sounds to test with, made here: no test needs a file from elsewhere."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from bundle.preprocess.audio import Sound

RATE = 8_000
BLOCK = 4_096  # a whole sound in one go overflows the stack of Vorbis' encoder


def tone(seconds: float = 0.1, hz: float = 440.0, rate: int = RATE) -> npt.NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(0.5 * np.sin(2 * np.pi * hz * time), dtype=np.float32)


def noise(seed: int, seconds: float = 0.1, rate: int = RATE) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(seed)
    return random.uniform(-0.5, 0.5, round(seconds * rate)).astype(np.float32)


def file_of(
    samples: npt.NDArray[Any], form: str = "WAV", rate: int = RATE, subtype: str | None = None
) -> bytes:
    """A sound file of samples [t] or [t, channels]."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, channels, subtype=subtype, format=form) as file:
        for start in range(0, len(samples), BLOCK):
            file.write(samples[start : start + BLOCK])
    return out.getvalue()


def sound_of(samples: npt.NDArray[Any], form: str = "WAV", rate: int = RATE) -> Sound:
    return Sound.from_bytes(file_of(samples, form, rate))


def flac_claiming(frames: int) -> bytes:
    """A FLAC of a tenth of a second whose header says that it has so many frames (36 bits)."""
    content = bytearray(file_of(tone(), "FLAC"))
    content[21] = content[21] & 0xF0 | frames >> 32
    content[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    return bytes(content)


def hostile() -> dict[str, bytes]:
    """Files that are no sounds, or damaged, or lie: 40 of them."""
    samples = noise(0, 1.0)
    files = {form: file_of(samples, form) for form in ("WAV", "FLAC", "OGG", "MP3")}
    found = {"nothing known": b"hello " * 99, "one byte": b"R", "empty RIFF": b"RIFF\0\0\0\0WAVE"}
    for form, content in files.items():
        half, cut = len(content) // 2, bytearray(content)
        found[f"{form} head only"] = content[:44]
        found[f"{form} cut in half"] = content[:half]
        found[f"{form} without its head"] = content[:4] + content[40:]
        cut[half : half + 200] = bytes(200)
        found[f"{form} with a hole"] = bytes(cut)
        found[f"{form} of noise"] = content[:60] + np.random.default_rng(1).bytes(len(content))
        found[f"{form} twice"] = content + content
        for place in (8, 20, 30):
            flipped = bytearray(content)
            flipped[place : place + 4] = b"\xff\xff\xff\xff"
            found[f"{form} flipped at {place}"] = bytes(flipped)
    found["FLAC that claims an hour and more"] = flac_claiming((1 << 36) - 1)
    return found
