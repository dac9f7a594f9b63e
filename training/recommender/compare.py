"""Values per user of several methods, and how sure it is that one is better: a paired bootstrap.

Users are drawn again with replacement, the same ones for both methods, since a user that is hard for one is
hard for the other. Source: Efron and Tibshirani 1993, chapter 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.recommender.ranking import Values

DRAWS = 10_000
BLOCK = 250  # draws at a time: 250 x 10,000 users are 20 MB


@dataclass(frozen=True)
class Difference:
    """The difference of two methods' means over the same users.

    Attributes:
        low, high: the middle 95 % of the draws.
        better: share of the draws in which it is above 0.
    """

    mean: float
    low: float
    high: float
    better: float


def difference(
    own: npt.NDArray[np.float64], other: npt.NDArray[np.float64], seed: int = 0, draws: int = DRAWS
) -> Difference:
    """The mean of own - other, user by user. float64 [n] each."""
    gaps = own - other
    generator = np.random.default_rng(seed)
    means = np.concatenate(
        [
            gaps[generator.integers(0, len(gaps), (min(BLOCK, draws - start), len(gaps)))].mean(1)
            for start in range(0, draws, BLOCK)
        ]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(gaps.mean()), float(low), float(high), float((means > 0).mean()))


def joined(parts: Sequence[Values]) -> Values:
    """Join the values of disjoint users, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
