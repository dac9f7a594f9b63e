"""Scores of candidates, and the best of them; n candidates, d dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from app.api.vectors import Vectors
from bundle.lexical import mixed

Metric: TypeAlias = Literal["cosine", "inner_product"]


class Ranking(NamedTuple):
    """Scores of all candidates, and which are best.

    Attributes:
        metric: of the vectors.
        scores: float32 (n,).
        best: positions, the best first.
        parts: what was mixed, by name, float32 (n,) each.
    """

    metric: Metric
    scores: Vectors
    best: Sequence[int]
    parts: Mapping[str, Vectors] = {}

    def results(self) -> list[dict[str, Any]]:
        """The best, as they are answered."""
        columns = {"score": self.scores, **self.parts}
        return [
            {"index": at, **{name: float(column[at]) for name, column in columns.items()}} for at in self.best
        ]


def top(scores: Vectors, count: int) -> list[int]:
    """Positions of the largest scores, the largest first; of equal ones the earlier first."""
    best = np.arange(len(scores))
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        best = np.flatnonzero(scores >= least)  # all ties, so that the earlier ones are kept
    order = np.argsort(-scores[best], kind="stable")[:count]
    return [int(index) for index in best[order]]


def ranked(query: Vectors, candidates: Vectors, metric: Metric, count: int) -> Ranking:
    """The best of candidates (n, d)."""
    scores = scores_of(query, candidates, metric)
    return Ranking(metric, scores, top(scores, count))


def ranked_with_words(ranking: Ranking, words: Vectors, weight: float, count: int) -> Ranking:
    """The best by a mix of their cosines and of BM25 (n,)."""
    scores = mixed(ranking.scores, words, weight)
    return Ranking("cosine", scores, top(scores, count), {"cosine": ranking.scores, "bm25": words})


def scores_of(query: Vectors, candidates: Vectors, metric: Metric) -> Vectors:
    """float32 (n,), of (d,) and (n, d)."""
    scores = candidates @ query
    if metric == "cosine":
        lengths = np.linalg.norm(candidates, axis=1) * np.linalg.norm(query)
        scores = scores / np.maximum(lengths, np.finfo(np.float32).tiny)
    return np.asarray(scores, dtype=np.float32)
