"""Who is near whom: exact search in memory, and the figures that come of it. Knows no encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

K = 10  # neighbours that figures are about
BLOCK = 1 << 24  # scores held at once, 64 MB

Floats = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Relevant = Mapping[int, frozenset[int]]  # query to the documents that answer it, by row


def similarities(rows: Floats, others: Floats, metric: Literal["cosine", "inner_product"]) -> Scores:
    """How alike rows and others are; a row of zeros has a cosine of 0 to anything.

    Args:
        rows: float32 [n, d].
        others: float32 [m, d].
        metric: of the encoder.

    Returns:
        float64 [n, m].
    """
    left, right = rows.astype(np.float64), others.astype(np.float64)
    if metric == "cosine":
        left, right = (
            side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), np.finfo(np.float64).tiny)
            for side in (left, right)
        )
    return np.asarray(left @ right.T)


def nearest(queries: Floats, documents: Floats, k: int = K, own: Ints | None = None) -> Ints:
    """The k documents of the largest inner product, the largest first.

    Args:
        queries: float32 [q, d].
        documents: float32 [n, d].
        k: how many; all of them where there are fewer.
        own: the document that a query is itself, which is left out; int64 [q], -1 for none.

    Returns:
        int64 [q, min(k, n)], with `own` min(k, n - 1).
    """
    k = min(k, len(documents) - (own is not None))
    step = max(1, BLOCK // max(1, len(documents)))
    found = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        scores = queries[rows] @ documents.T  # [block, n]
        if own is not None:
            mine = np.flatnonzero(own[rows] >= 0)
            scores[mine, own[rows][mine]] = -np.inf
        best = np.argpartition(-scores, range(min(k, scores.shape[1])), axis=1)[:, :k]
        found[rows] = best
    return found


def kept(found: Ints, expected: Ints) -> npt.NDArray[np.float64]:
    """The share of each query's expected neighbours that were found. float64 [q], both [q, k]."""
    common = [len(np.intersect1d(a, b)) for a, b in zip(found, expected, strict=True)]
    return np.array(common, np.float64) / np.float64(max(1, expected.shape[1]))


def recall(found: Ints, relevant: Relevant) -> npt.NDArray[np.float64]:
    """The share of each query's relevant documents among those found, of as many as fit. float64 [labelled].

    Queries in the order of `relevant`.
    """
    return np.array(
        [len(relevant[q].intersection(found[q].tolist())) / min(len(relevant[q]), K) for q in relevant]
    )
