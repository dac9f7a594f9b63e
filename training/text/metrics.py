"""Figures of merit for texts, in numpy. n rows, d dimensions.

A vector that is not finite is an error in each of them, never a cosine of 0: an encoder that fails on half of
the texts would else be as good as one that knows nothing of them.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from training.errors import VectorError

Floats = npt.NDArray[np.floating]
Rows = TypeVar("Rows", bound=Floats)

DIGITS = 6  # cosines nearer than float32 can tell apart are ties, on every machine and over HTTP


def finite(vectors: Rows, of: str) -> Rows:
    """The vectors, (n, d). Raises VectorError, with the first row, if one has NaN or an infinity."""
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise VectorError(
            f"{of}: {len(bad):,} of {len(vectors):,} vectors are not finite (NaN or infinity), the first in "
            f"row {bad[0]}; nothing can be measured with them"
        )
    return vectors


def ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean rank. (n,) -> (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # rank of the last of each group of equals
    means = last - (counts - 1) / 2.0
    return np.asarray(means[inverse], dtype=np.float64)


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks. 0 when one side is constant.

    Raises:
        VectorError: a value is not finite, so it has no rank.
    """
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise VectorError("a rank correlation of values that are not finite (NaN or infinity)")
    x, y = ranks(a) - (len(a) + 1) / 2, ranks(b) - (len(b) + 1) / 2
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0


def cosines(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Cosine of each pair of rows. (n, d), (n, d) -> (n,); 0 for a zero row, which has no direction.

    Raises:
        VectorError: a row is not finite.
    """
    x, y = (finite(side, name).astype(np.float64) for side, name in ((a, "first"), (b, "second")))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    products = np.einsum("nd,nd->n", x, y)
    return np.asarray(np.divide(products, norms, out=np.zeros(len(a)), where=norms > 0))


def first_hit_rate(queries: Floats, keys: Floats) -> float:
    """The share of queries whose own key, the one of its row, has the largest cosine among all keys.

    Where several keys have that cosine, any of them may come first, each as likely: with all vectors alike
    it is 1 / n, in whatever order.

    Raises:
        VectorError: a row is not finite.
    """
    q, k = (_unit(finite(side, name)) for side, name in ((queries, "queries"), (keys, "keys")))
    near = np.round(q @ k.T, DIGITS)  # (n, n)
    best = near.max(axis=1, keepdims=True)
    first = near == best
    return float((np.diagonal(first) / first.sum(axis=1)).mean())


def _unit(rows: Floats) -> npt.NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
