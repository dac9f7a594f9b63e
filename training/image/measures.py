"""Figures of vectors of pictures and what is known of each: the same in a run and in a report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.metrics import MetricValue

Vectors = npt.NDArray[np.float32]
NEIGHBOURS = 5


def nearest_text(vectors: Vectors, texts: Vectors, right: Sequence[int]) -> MetricValue:
    """How often the nearest of the texts [m, dim] is the right one of a picture: zero-shot accuracy."""
    return MetricValue.of(((vectors @ texts.T).argmax(1) == np.asarray(right)).astype(np.float64))


def neighbours(vectors: Vectors, labels: Sequence[int], k: int = NEIGHBOURS) -> MetricValue:
    """How often the commonest label among a picture's k nearest others is its own."""
    known = np.asarray(labels)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return MetricValue.of((_voted(scores, known, k) == known).astype(np.float64))


def neighbours_in(
    vectors: Vectors, labels: Sequence[int], among: Vectors, their: Sequence[int], k: int = NEIGHBOURS
) -> MetricValue:
    """The same among the pictures of a training split."""
    voted = _voted(vectors @ among.T, np.asarray(their), k)
    return MetricValue.of((voted == np.asarray(labels)).astype(np.float64))


def _voted(scores: Vectors, labels: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    """The label with the largest sum of scores among each row's k largest; float [n, m] -> int64 [n]."""
    k = min(k, scores.shape[1] - 1) or 1
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]  # [n, k]
    votes = np.zeros((len(scores), int(labels.max()) + 1))
    weights = np.exp(np.take_along_axis(scores, best, 1).clip(-50, 50))
    np.add.at(votes, (np.arange(len(scores))[:, None], labels[best]), weights)
    return np.asarray(votes.argmax(1))


def average_precision(scores: npt.NDArray[np.floating], is_right: npt.NDArray[np.bool_]) -> float:
    """Mean of the precision at each right picture, of all pictures ranked for one text."""
    ranked = is_right[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(ranked)
    return float((hits / np.arange(1, len(ranked) + 1))[ranked].mean())


def text_to_image(texts: Vectors, vectors: Vectors, right: npt.NDArray[np.bool_]) -> MetricValue:
    """Mean average precision of the pictures found by each text; `right` bool [texts, pictures]."""
    found = [
        average_precision(row, is_right)
        for row, is_right in zip(texts @ vectors.T, right, strict=True)
        if is_right.any()
    ]
    return MetricValue.of(np.array(found))


def recall(texts: Vectors, vectors: Vectors, k: int) -> MetricValue:
    """How often a text's own picture, in the same row, is among its k nearest."""
    scores = texts @ vectors.T
    ranks = (scores > np.diagonal(scores)[:, None]).sum(1)
    return MetricValue.of((ranks < k).astype(np.float64))
