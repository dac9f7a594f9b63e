"""Rankings of documents and what they are worth. q queries, n documents, d dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from training.metrics import MetricValue
from training.text.suite.task import Floats

Ints = npt.NDArray[np.int64]
Documents = Callable[[int, int], Floats]  # rows start..stop of the documents' vectors, float32 [n, d]

DEPTH = 100  # documents that are looked at
AT = 10
RECALL_AT = (10, 100)
NOBODY = -1  # stands for no document
QUERIES, DOCUMENTS = 512, 8192  # scored at a time: 17 MB
DIGITS = 6  # scores nearer than float32 can tell apart are ties, on every machine and over HTTP


def search(queries: Floats, documents: Documents, count: int) -> Ints:
    """The DEPTH nearest documents of each query by inner product, ties in their order. int64 [q, DEPTH]."""
    best = np.full((len(queries), DEPTH), NOBODY, dtype=np.int64)
    scores = np.full((len(queries), DEPTH), -np.inf, dtype=np.float32)
    for start in range(0, count, DOCUMENTS):
        block = documents(start, min(start + DOCUMENTS, count))
        numbers = np.arange(start, start + len(block))
        for low in range(0, len(queries), QUERIES):
            rows = slice(low, low + QUERIES)
            found = np.round(queries[rows] @ block.T, DIGITS)
            all_scores = np.concatenate([scores[rows], found], axis=1)
            all_numbers = np.concatenate([best[rows], np.broadcast_to(numbers, found.shape)], axis=1)
            for row in range(len(found)):
                top = first(all_scores[row], DEPTH)
                scores[low + row], best[low + row] = all_scores[row, top], all_numbers[row, top]
    return best


def first(scores: npt.NDArray[np.floating], depth: int) -> Ints:
    """Places of the `depth` largest scores, largest first, ties in their order."""
    places = np.arange(len(scores))
    if len(scores) > depth:
        threshold = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        places = np.flatnonzero(scores >= threshold)  # ties at the end are all still here
    order = np.argsort(-scores[places], kind="stable")[:depth]
    return np.asarray(places[order], dtype=np.int64)


def ranking_metrics(best: Ints, relevant: Sequence[Mapping[int, float]]) -> dict[str, MetricValue]:
    """Means over queries of the metrics below, with their standard errors.

    Args:
        best: documents of each query, best first, int64 [q, k].
        relevant: per query the gain of each relevant document, above 0; at least one.
    """
    rows = [row[row != NOBODY].tolist() for row in best]
    pairs = list(zip(rows, relevant, strict=True))
    values = {
        f"ndcg@{AT}": [ndcg(row, gains) for row, gains in pairs],
        f"mrr@{AT}": [reciprocal_rank(row, gains) for row, gains in pairs],
        "hit@1": [float(bool(row) and row[0] in gains) for row, gains in pairs],
        **{f"recall@{at}": [recall(row, gains, at) for row, gains in pairs] for at in RECALL_AT},
    }
    return {name: MetricValue.of(np.array(found)) for name, found in values.items()}


def ndcg(best: Sequence[int], gains: Mapping[int, float], at: int = AT) -> float:
    """DCG / ideal DCG, DCG = sum gain / log2(1 + rank), both cut at `at`.

    Source: Järvelin and Kekäläinen 2002, with linear gains, as trec_eval and BEIR count.
    """
    ideal = sorted(gains.values(), reverse=True)
    return _dcg([gains.get(one, 0.0) for one in best[:at]]) / _dcg(ideal[:at])


def reciprocal_rank(best: Sequence[int], gains: Mapping[int, float], at: int = AT) -> float:
    """1 / rank of the first relevant document, 0 if none is among the first `at`."""
    return next((1.0 / rank for rank, one in enumerate(best[:at], start=1) if one in gains), 0.0)


def recall(best: Sequence[int], gains: Mapping[int, float], at: int) -> float:
    """The share of the relevant documents that are among the first `at`."""
    return sum(one in gains for one in best[:at]) / len(gains)


def _dcg(gains: Sequence[float]) -> float:
    return float(sum(gain / np.log2(1 + rank) for rank, gain in enumerate(gains, start=1)))
