"""The files that are encoded: JPEGs as large as photos of their size, and sounds, the same in every run."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image as Pillow

COARSEST, QUALITY = 4, 85  # cells each way of the coarsest pattern; of the JPEGs
GRAIN = 6.0  # standard deviation of what differs from pixel to pixel, of 255: 0.2 bytes a pixel, as a photo


def jpegs(count: int, width: int, height: int, seed: int = 0) -> list[bytes]:
    """Draw pictures whose patterns are the stronger the coarser they are, as those of photos are."""
    return [_jpeg(np.random.default_rng([seed, number]), width, height) for number in range(count)]


def _jpeg(chance: np.random.Generator, width: int, height: int) -> bytes:
    values = chance.normal(0.0, GRAIN, (height, width, 3)).astype(np.float32) + 128
    cells = COARSEST
    while cells < min(width, height):
        pattern = chance.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        grown = Pillow.fromarray(pattern).resize((width, height), Pillow.Resampling.BICUBIC)
        values += (np.asarray(grown, np.float32) - 128) * COARSEST / cells
        cells *= 2
    out = io.BytesIO()
    Pillow.fromarray(values.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def sounds(count: int, seconds: float, rate: int = 16_000, form: str = "FLAC", seed: int = 0) -> list[bytes]:
    """Draw sounds of three tones that swell and fade, in a little noise."""
    return [_sound(np.random.default_rng([seed, number]), seconds, rate, form) for number in range(count)]


def _sound(chance: np.random.Generator, seconds: float, rate: int, form: str) -> bytes:
    time_s: npt.NDArray[np.float64] = np.arange(round(seconds * rate)) / rate
    samples = chance.normal(0.0, 0.01, len(time_s))
    for hz, beat in zip(chance.uniform(100, 3000, 3), chance.uniform(0.5, 5, 3), strict=True):
        samples += 0.2 * np.sin(2 * np.pi * hz * time_s) * np.sin(2 * np.pi * beat * time_s) ** 2
    out = io.BytesIO()
    soundfile.write(out, samples.astype(np.float32), rate, format=form)
    return out.getvalue()
