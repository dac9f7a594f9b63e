"""What is changed of a sound each time that it is learned from: loudness, noise, place, speed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.audio.settings import AugmentConfig

Samples = npt.NDArray[np.float32]
SOFTEST_NOISE_DB = 40.0


def augmented(samples: Samples, config: AugmentConfig, rate: int, random: np.random.Generator) -> Samples:
    """The sound as somebody else might have said it, or somewhere else. float32 (s,) -> (s',)."""
    found = samples
    if config.speed:
        found = _at_speed(found, 1 + random.uniform(-config.speed, config.speed))
    if config.shift_s:
        silence = np.zeros(int(random.uniform(0, config.shift_s) * rate), dtype=np.float32)
        found = np.concatenate([silence, found])
    if config.noise_db:
        below_db = random.uniform(config.noise_db, SOFTEST_NOISE_DB)
        level = float(np.sqrt(np.square(found).mean())) * 10 ** (-below_db / 20)
        found = found + level * random.standard_normal(len(found), dtype=np.float32)
    if config.gain_db:
        found = found * np.float32(10 ** (random.uniform(-config.gain_db, config.gain_db) / 20))
    return found.astype(np.float32)


def _at_speed(samples: Samples, factor: float) -> Samples:
    """Play faster, and so higher, by a factor; straight lines between samples are good enough for that."""
    places = np.arange(0, len(samples) - 1, factor, dtype=np.float32)
    return np.interp(places, np.arange(len(samples)), samples).astype(np.float32)
