"""Hard negatives: texts of a corpus that are near to a query, and are not its answer.

Bounded memory: queries by blocks against the corpus by blocks, keeping the best few of each query. Only
vectors are held; nothing of queries x corpus is. The same input gives the same negatives.

Source: mining with a margin to the positive, as in NV-Retriever, Moreira et al. 2024, arXiv 2407.15831
(TopK-PercPos: a candidate nearly as near as the positive is often a positive that nobody marked).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.errors import ConfigError

Floats = npt.NDArray[np.float32]
BLOCK = 2048  # texts of either side at a time: 16 MiB of scores


@dataclass(frozen=True)
class MiningRules:
    """The rules that tell hard candidates from right ones.

    Attributes:
        first: rank of the nearest candidate that is taken, from 0; the very nearest are often right.
        last: rank after the farthest.
        margin: a candidate's cosine must be below this share of the positive's; below a negative one by the
            same distance.
        count: negatives per query at most.
    """

    first: int = 0
    last: int = 50
    margin: float = 0.95
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.last:
            raise ConfigError(f"ranks {self.first} to {self.last}: the last must be after the first, from 0")
        if self.count < 1:
            raise ConfigError(f"{self.count} negatives per query: at least 1 is needed")


def mine(
    queries: Floats,
    positives: Floats,
    corpus: Floats,
    excluded: Sequence[npt.NDArray[np.int64]],
    rules: MiningRules,
    *,
    block: int = BLOCK,
) -> list[npt.NDArray[np.int64]]:
    """Row numbers in the corpus of each query's negatives, nearest first; none where none fits.

    Args:
        queries: L2-normalised (n, d).
        positives: of each query, L2-normalised (n, d).
        corpus: L2-normalised (m, d).
        excluded: for each query, rows that are right, or its own text.
        rules: see there.
        block: rows of either side at a time.
    """
    negatives: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(queries), block):
        end = start + block
        near_positive = np.einsum("nd,nd->n", queries[start:end], positives[start:end])
        limits = near_positive - (1 - rules.margin) * np.abs(near_positive)
        most = rules.last + max((len(rows) for rows in excluded[start:end]), default=0)
        rows, scores = nearest(queries[start:end], corpus, most, block=block)
        for i, wrong in enumerate(excluded[start:end]):
            right = ~np.isin(rows[i], wrong)
            ranked, near = rows[i][right], scores[i][right]
            chosen = slice(rules.first, rules.last)
            negatives.append(ranked[chosen][near[chosen] < limits[i]][: rules.count])
    return negatives


def nearest(
    queries: Floats, corpus: Floats, k: int, *, block: int = BLOCK
) -> tuple[npt.NDArray[np.int64], Floats]:
    """The k rows of the corpus with the largest product, largest first, and these products: (n, k), (n, k).

    Fewer columns where the corpus is smaller.
    """
    rows = np.zeros((len(queries), 0), dtype=np.int64)
    scores = np.zeros((len(queries), 0), dtype=np.float32)
    for start in range(0, len(corpus), block):
        found = queries @ corpus[start : start + block].T  # (n, block)
        numbers = np.broadcast_to(np.arange(start, start + found.shape[1]), found.shape)
        rows, scores = _best(np.hstack([rows, numbers]), np.hstack([scores, found]), k)
    return rows, scores


def _best(rows: npt.NDArray[np.int64], scores: Floats, k: int) -> tuple[npt.NDArray[np.int64], Floats]:
    """The k largest of each row; equal ones in the order of their numbers."""
    if scores.shape[1] > k:
        some = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        rows, scores = np.take_along_axis(rows, some, axis=1), np.take_along_axis(scores, some, axis=1)
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)
