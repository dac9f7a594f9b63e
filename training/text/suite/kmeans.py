"""k-means, and how well its clusters agree with labels. n texts, d dimensions, k clusters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.text.metrics import finite
from training.text.suite.task import Floats

Ints = npt.NDArray[np.int64]

ROUNDS = 100
ALIKE = 1e-6


def kmeans(vectors: Floats, k: int, random: np.random.Generator) -> Ints:
    """The cluster of each row, int64 (n,): Lloyd's rounds from a k-means++ start until none moves.

    Vectors that are all alike, but for what float32 rounds, are one cluster.

    Raises:
        VectorError: a vector is not finite.

    Source: Arthur and Vassilvitskii 2007.
    """
    if not len(vectors) or float(finite(vectors, "texts").std(axis=0).max()) < ALIKE:
        return np.zeros(len(vectors), dtype=np.int64)
    centres = _spread(vectors, k, random)
    clusters = np.full(len(vectors), -1, dtype=np.int64)
    for _ in range(ROUNDS):
        distances = (centres**2).sum(1) - 2.0 * vectors @ centres.T  # (n, k), |x|^2 left out
        nearest = distances.argmin(1)
        if (nearest == clusters).all():
            break
        clusters = nearest
        members = np.equal.outer(np.arange(k), clusters).astype(np.float32)  # (k, n)
        counts = members.sum(1, keepdims=True)
        centres = np.where(counts > 0, members @ vectors / np.maximum(counts, 1), centres)
    return clusters


def _spread(vectors: Floats, k: int, random: np.random.Generator) -> Floats:
    """Rows far from each other: the next one with a chance that grows as its squared distance."""
    chosen = [int(random.integers(len(vectors)))]
    nearest = np.full(len(vectors), np.inf)
    for _ in range(k - 1):
        nearest = np.minimum(nearest, ((vectors - vectors[chosen[-1]]) ** 2).sum(1).astype(np.float64))
        total = nearest.sum()
        chances = nearest / total if total > 0 else None
        chosen.append(int(random.choice(len(vectors), p=chances)))
    return vectors[chosen].copy()


def v_measure(labels: Ints, clusters: Ints) -> float:
    """2 h c / (h + c), h = 1 - H(label | cluster) / H(label), c = 1 - H(cluster | label) / H(cluster).

    The same as normalised mutual information by the mean of the entropies. An entropy of 0 counts as 1.
    Source: Rosenberg and Hirschberg 2007.
    """
    table = np.zeros((int(labels.max()) + 1, int(clusters.max()) + 1))
    np.add.at(table, (labels, clusters), 1.0)
    joint = _entropy(table.ravel())
    of_labels, of_clusters = _entropy(table.sum(1)), _entropy(table.sum(0))
    homogeneous = 1.0 - (joint - of_clusters) / of_labels if of_labels else 1.0
    complete = 1.0 - (joint - of_labels) / of_clusters if of_clusters else 1.0
    both = homogeneous + complete
    return float(2.0 * homogeneous * complete / both) if both > 1e-12 else 0.0


def _entropy(counts: npt.NDArray[np.float64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
