"""Scores of candidates, and the best of them; n candidates, d dimensions."""

from __future__ import annotations

import numpy as np

from app.api.vectors import Vectors


def top(scores: Vectors, count: int) -> list[int]:
    """Positions of the largest scores, the largest first; of equal ones the earlier first."""
    best = np.arange(len(scores))
    if count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        best = np.flatnonzero(scores >= least)  # all ties, so that the earlier ones are kept
    order = np.argsort(-scores[best], kind="stable")[:count]
    return [int(index) for index in best[order]]


def scores_of(query: Vectors, candidates: Vectors, metric: str) -> Vectors:
    """float32 (n,), of (d,) and (n, d)."""
    scores = candidates @ query
    if metric == "cosine":
        lengths = np.linalg.norm(candidates, axis=1) * np.linalg.norm(query)
        scores = scores / np.maximum(lengths, np.finfo(np.float32).tiny)
    return np.asarray(scores, dtype=np.float32)
