"""What an old threshold is worth in a new space: quantiles of the scores of the same pairs, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bundle.neighbours import Floats, Ints

COSINES = np.round(np.arange(0.1, 1.0, 0.1), 1)
DECILES = np.arange(0.1, 1.0, 0.1)
FEWEST = 20  # pairs on either side of a threshold of which something can be said
RANDOM = 20  # pairs of each query beside its neighbours


@dataclass(frozen=True)
class Threshold:
    """An old threshold and the new one that as many pairs pass.

    Attributes:
        share: of the pairs that pass it.
        agreement: share of all pairs that are on the same side of both.
    """

    old: float
    new: float
    share: float
    agreement: float


def pairs_of(neighbours: Ints, others: Ints, documents: int) -> tuple[Ints, Ints]:
    """Pairs that thresholds are about: neighbours by either encoder, and some at random. Both int64 [p].

    Args:
        neighbours: of each query, by the old encoder; int64 [q, k].
        others: the same by the new one.
        documents: how many there are.
    """
    random = np.random.default_rng(0).integers(0, documents, (len(neighbours), RANDOM))
    columns = np.concatenate([neighbours, others, random], axis=1)  # [q, 2k + RANDOM]
    pairs = np.stack([np.repeat(np.arange(len(columns)), columns.shape[1]), columns.ravel()])
    queries, found = np.unique(pairs, axis=1)
    return queries, found


def scores_of(queries: Floats, documents: Floats, pairs: tuple[Ints, Ints]) -> Floats:
    """Inner products of pairs. float32 [p]."""
    scores = np.einsum("pd,pd->p", queries[pairs[0]], documents[pairs[1]])
    return np.asarray(scores, np.float32)


def quantile_map(
    old: npt.NDArray[np.float32], new: npt.NDArray[np.float32], metric: Literal["cosine", "inner_product"]
) -> list[Threshold]:
    """New thresholds for old ones: cosines of .1 to .9, or deciles of other scores. Both float32 [p].

    A threshold that fewer than FEWEST pairs pass, or do not pass, is left out.
    """
    grid = COSINES if metric == "cosine" else np.quantile(old, DECILES)
    found = list[Threshold]()
    for value in grid:
        passes = old >= value
        if not FEWEST <= passes.sum() <= len(old) - FEWEST:
            continue
        share = float(passes.mean())
        worth = float(np.quantile(new, 1 - share))
        agreement = float((passes == (new >= worth)).mean())
        found.append(Threshold(float(value), worth, share, agreement))
    return found
