"""Figures of merit for texts, in numpy. n rows, d dimensions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def ranks(values: Floats) -> npt.NDArray[np.float64]:
    """Ranks from 1, ties sharing their mean rank. (n,) -> (n,)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # rank of the last of each group of equals
    means = last - (counts - 1) / 2.0
    return np.asarray(means[inverse], dtype=np.float64)


def spearman(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks. 0 when one side is constant."""
    x, y = ranks(a) - (len(a) + 1) / 2, ranks(b) - (len(b) + 1) / 2
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else 0.0


def cosines(a: Floats, b: Floats) -> npt.NDArray[np.float64]:
    """Cosine of each pair of rows. (n, d), (n, d) -> (n,); 0 for a zero row."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    products = np.einsum("nd,nd->n", x, y)
    return np.asarray(np.divide(products, norms, out=np.zeros(len(a)), where=norms > 0))


def first_hit_rate(queries: Floats, keys: Floats) -> float:
    """The share of queries whose own key, the one of its row, has the largest cosine among all keys."""
    q = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
    k = keys / np.maximum(np.linalg.norm(keys, axis=1, keepdims=True), 1e-12)
    return float(((q @ k.T).argmax(1) == np.arange(len(q))).mean())
