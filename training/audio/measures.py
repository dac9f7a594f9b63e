"""How near sounds are to what they should be near to. n sounds, k captions, d dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from training.audio.data import NONE
from training.data.stream import RowNumbers
from training.metrics import MetricValue

Vectors = npt.NDArray[np.float32]
NEIGHBOURS = 5
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)  # times the number of sounds
EVERY = 5  # one sound in so many chooses the ridge


def nearest_label(vectors: Vectors, labels: RowNumbers) -> MetricValue:
    """The share of sounds whose nearest other one has their label; those without a label do not count."""
    rows = np.flatnonzero(labels != NONE)
    scores = vectors[rows] @ vectors[rows].T
    np.fill_diagonal(scores, -np.inf)
    return MetricValue.of((labels[rows][scores.argmax(1)] == labels[rows]).astype(np.float64))


def nearest_caption(vectors: Vectors, captions: Vectors, own: RowNumbers) -> MetricValue:
    """The share of sounds that are nearer to their own caption than to that of any other sound.

    Args:
        vectors: of the sounds (n, d).
        captions: (k, d).
        own: the number of each one's caption (n,), NONE without one.
    """
    rows = np.flatnonzero(own != NONE)
    candidates = np.unique(own[rows])
    scores = vectors[rows] @ captions[candidates].T
    return MetricValue.of((candidates[scores.argmax(1)] == own[rows]).astype(np.float64))


def recall(vectors: Vectors, captions: Vectors, own: RowNumbers, k: int) -> MetricValue:
    """The share of captions that have a sound of theirs among the k nearest; arguments as above."""
    rows = np.flatnonzero(own != NONE)
    asked = np.unique(own[rows])
    scores = captions[asked] @ vectors[rows].T
    nearest = own[rows][np.argsort(-scores, axis=1, kind="stable")[:, :k]]  # (captions, k)
    return MetricValue.of((nearest == asked[:, None]).any(axis=1).astype(np.float64))


def neighbours(
    learned: Vectors, labels: npt.NDArray[Any], vectors: Vectors, own: npt.NDArray[Any]
) -> MetricValue:
    """The share of sounds whose label is the commonest of the nearest five; of equals, that of the nearest.

    Args:
        learned: vectors with `labels` to look among (m, d).
        labels: any values (m,).
        vectors: those that are asked (n, d).
        own: their labels (n,).
    """
    nearest = np.argsort(-(vectors @ learned.T), axis=1, kind="stable")[:, :NEIGHBOURS]
    chosen = []
    for row in labels[nearest]:
        values, first, counts = np.unique(row, return_index=True, return_counts=True)
        best = np.flatnonzero(counts == counts.max())
        chosen.append(values[best[first[best].argmin()]])
    return MetricValue.of((np.array(chosen) == own).astype(np.float64))


def probe(learned: Vectors, labels: npt.NDArray[Any], vectors: Vectors, own: npt.NDArray[Any]) -> MetricValue:
    """The share of sounds that a linear layer (ridge regression of labels) names rightly; arguments as above.

    Its ridge is chosen by a fifth of the learned sounds.
    """
    names, numbers = np.unique(labels, return_inverse=True)
    chosen = np.arange(len(learned)) % EVERY == 0

    def right(fit: npt.NDArray[np.bool_], ridge: float, asked: Vectors, expected: npt.NDArray[Any]) -> Any:
        weights = _ridge(learned[fit], np.eye(len(names))[numbers[fit]], ridge)
        return names[(_with_one(asked) @ weights).argmax(1)] == expected

    best = max(RIDGES, key=lambda ridge: right(~chosen, ridge, learned[chosen], labels[chosen]).mean())
    return MetricValue.of(right(np.ones_like(chosen), best, vectors, own).astype(np.float64))


def _ridge(vectors: Vectors, targets: npt.NDArray[np.float64], ridge: float) -> npt.NDArray[np.float64]:
    """argmin_W |X W - Y|^2 + ridge n |W|^2 / d, X with a column of ones: (d + 1, classes)."""
    x = _with_one(vectors)
    penalty = ridge * len(x) / x.shape[1] * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(x.T @ x + penalty, x.T @ targets))


def _with_one(vectors: Vectors) -> npt.NDArray[np.float64]:
    return np.concatenate([vectors.astype(np.float64), np.ones((len(vectors), 1))], axis=1)
