"""Sounds that the export is compared on; the first of them become golden. Made, so that they are nobody's."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile

from bundle.inputs import Input
from bundle.preprocess.audio import Sound
from training.audio.settings import FrontEndConfig

SEED = 20_260_101
LOWEST_RATE = 8_000


def parity_sounds(front: FrontEndConfig) -> list[Input]:
    """Of one window and of several, of its own rate and of others, mono and stereo, loud, soft and silent."""
    rate, length = front.sample_rate, front.window_s
    other = 44_100 if rate != 44_100 else 22_050
    random = np.random.default_rng(SEED)
    made = [
        _file(_voice(0.4 * length, rate, random), rate, "FLAC"),
        _file(_voice(1.2 * length, other, random), other, "FLAC"),
        _file(np.zeros(int(length * rate), np.float32), rate, "FLAC"),
        _file(np.stack([_voice(0.5 * length, other, random)] * 2, axis=1) * [1.0, 0.3], other, "WAV"),
        _file(_voice(2.6 * length, LOWEST_RATE, random), LOWEST_RATE, "WAV"),
        _file(0.001 * _voice(0.3 * length, rate, random), rate, "FLAC"),
        _file(random.uniform(-1, 1, int(0.3 * length * rate)), rate, "WAV"),
        _file(np.ones(1, np.float32), rate, "WAV"),
    ]
    return [Sound(content) for content in made]


def _voice(seconds: float, rate: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """A buzz of harmonics that slides and swells, as speech does."""
    time = np.arange(int(seconds * rate)) / rate
    pitch = random.uniform(90, 250) * (1 + 0.3 * np.sin(2 * np.pi * random.uniform(0.5, 3) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    weights = random.uniform(0, 1, 12)
    sound = sum(weight * np.sin(number * phase) for number, weight in enumerate(weights, start=1))
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(1, 4) * time)
    return np.asarray(0.05 * sound * swell, dtype=np.float32)


def _file(samples: npt.NDArray[np.floating], rate: int, form: str) -> bytes:
    """16 bits, which decode to the same numbers everywhere."""
    with io.BytesIO() as buffer:
        soundfile.write(buffer, samples, rate, format=form, subtype="PCM_16")
        return buffer.getvalue()
