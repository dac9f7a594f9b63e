"""Windows of one length over the samples of a sound: each is encoded by itself, so nothing is padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]


def span(windows: int, window: int, hop: int) -> int:
    """How many samples so many windows reach over."""
    return window + (windows - 1) * hop


def windows_of(samples: Samples, window: int, hop: int) -> Samples:
    """Every `hop` samples a window, until the last sample is in one; silence fills that up.

    Args:
        samples: float32 [t], t >= 1.
        window: samples of a window.
        hop: from the start of one to that of the next; at most `window`.

    Returns:
        float32 [w, window], w >= 1.
    """
    count = max(1, -(-(len(samples) - window) // hop) + 1)
    padded = np.zeros(span(count, window, hop), dtype=np.float32)
    padded[: len(samples)] = samples
    return np.lib.stride_tricks.sliding_window_view(padded, window)[::hop].copy()  # [w, window]


def means_of(counts: Sequence[int]) -> Samples:
    """What each window of a batch counts in each sound, which is the mean of its own: float32 [n, w].

    Args:
        counts: windows of each sound, in their order.
    """
    weights = np.zeros((len(counts), sum(counts)), dtype=np.float32)
    start = 0
    for row, count in enumerate(counts):
        weights[row, start : start + count] = 1 / count
        start += count
    return weights
