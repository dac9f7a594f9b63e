"""Where relevant documents stand among all, and what that is worth. q queries, n documents, d dimensions.

Only places of relevant documents count, so nothing is sorted: for each of them, how many documents have a
larger score and how many have the same. Ties are counted in expectation over their orders, so that neither
the order of a file nor a seed decides anything: an encoder that gives one vector to all documents gets what
a random ranking gets on average.
Source: McSherry and Najork 2008, Computing information retrieval performance measures efficiently in the
presence of tied scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from training.metrics import MetricValue
from training.text.metrics import DIGITS, finite, reciprocal_rank
from training.text.suite.task import Floats

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Documents = Callable[[int, int], Floats]  # rows start..stop of the documents' vectors, float32 [n, d]

AT = 10
RECALL_AT = (10, 100)
NOWHERE = 2**40  # documents above one that is not found at all
NOBODY = -1  # stands for no document
QUERIES, DOCUMENTS, PAIRS = 256, 8192, 512  # scored and compared at a time: 17 and 34 MB


@dataclass(frozen=True)
class Places:
    """Where the relevant documents of one query stand: each at a rank of above + 1 to above + tied.

    Attributes:
        above: documents with a larger score, int64 [r].
        tied: documents with the same score, itself among them, int64 [r].
        gains: of relevance, above 0, float64 [r].
    """

    above: Ints
    tied: Ints
    gains: Scores


def places_of(scores: Scores, gains: Mapping[int, float], found: npt.NDArray[np.bool_]) -> Places:
    """Places by the scores of one query with all documents, float64 [n]; only those `found` are ranked."""
    rows = np.array(list(gains), dtype=np.int64)
    ranked = np.sort(np.round(scores[found], DIGITS))
    own = np.round(scores[rows], DIGITS)
    high, low = np.searchsorted(ranked, own, side="right"), np.searchsorted(ranked, own, side="left")
    above = np.where(found[rows], len(ranked) - high, NOWHERE)
    return Places(above, np.maximum(high - low, 1), np.array(list(gains.values()), dtype=np.float64))


def search(
    queries: Floats, documents: Documents, count: int, relevant: Sequence[Mapping[int, float]], own: Ints
) -> list[Places]:
    """Places by the inner product, among all documents but those that are the query itself.

    Args:
        queries: float32 [q, d].
        documents: their vectors, in blocks.
        count: how many there are.
        relevant: per query the gain of each relevant document, above 0.
        own: per query a document that is left out, or NOBODY. int64 [q].

    Raises:
        VectorError: a vector is not finite.
    """
    wide = finite(queries, "queries").astype(np.float64)
    asked = np.repeat(np.arange(len(relevant)), [len(gains) for gains in relevant])  # [p], ascending
    wanted = np.array([row for gains in relevant for row in gains], dtype=np.int64)  # [p]
    scores = np.zeros(len(wanted))
    for start, block in _blocks(documents, count):
        here = np.flatnonzero((wanted >= start) & (wanted < start + len(block)))
        scores[here] = np.einsum(
            "pd,pd->p", wide[asked[here]], finite(block, "documents")[wanted[here] - start]
        )
    scores = np.round(scores, DIGITS)
    above, tied = np.zeros_like(wanted), np.zeros_like(wanted)
    for start, block in _blocks(documents, count):
        for low in range(0, len(wide), QUERIES):
            products = np.round(wide[low : low + QUERIES] @ block.T, DIGITS)  # [q, n]
            leave_out(products, own[low : low + QUERIES] - start)
            first, last = np.searchsorted(asked, [low, low + QUERIES])
            for at in range(first, last, PAIRS):
                pairs = slice(at, min(at + PAIRS, last))
                rows = products[asked[pairs] - low]
                above[pairs] += np.count_nonzero(rows > scores[pairs, None], axis=1)
                tied[pairs] += np.count_nonzero(rows == scores[pairs, None], axis=1)
    tied = np.maximum(tied, 1)
    ends = pairwise(np.cumsum([0, *(len(gains) for gains in relevant)]))
    gains_of = (np.array(list(gains.values()), dtype=np.float64) for gains in relevant)
    return [Places(above[a:b], tied[a:b], gains) for (a, b), gains in zip(ends, gains_of, strict=True)]


def _blocks(documents: Documents, count: int) -> Iterator[tuple[int, Scores]]:
    """The documents' vectors, as many at a time as fit, with the number of the first."""
    for start in range(0, count, DOCUMENTS):
        yield start, documents(start, min(start + DOCUMENTS, count)).astype(np.float64)


def leave_out(products: npt.NDArray[np.floating], own: Ints) -> None:
    """Rank a query's own document nowhere: `own` is its column, outside of the block for most."""
    inside = np.flatnonzero((own >= 0) & (own < products.shape[1]))
    products[inside, own[inside]] = -np.inf


def ranking_metrics(found: Sequence[Places]) -> dict[str, MetricValue]:
    """Means over queries of the metrics below, with their standard errors.

    A query without a relevant document counts as 0, as pytrec_eval counts it, and so BEIR and mteb.
    """
    values = {
        f"ndcg@{AT}": [ndcg(one) for one in found],
        f"mrr@{AT}": [first_relevant(one) for one in found],
        "hit@1": [first_relevant(one, 1) for one in found],
        **{f"recall@{at}": [recall(one, at) for one in found] for at in RECALL_AT},
    }
    return {name: MetricValue.of(np.array(rows)) for name, rows in values.items()}


def ndcg(places: Places, at: int = AT) -> float:
    """DCG / ideal DCG, DCG = sum gain / log2(1 + rank), both cut at `at`.

    Source: Järvelin and Kekäläinen 2002, with linear gains, as trec_eval and BEIR count.
    """
    if not len(places.gains):
        return 0.0
    discounts = 1.0 / np.log2(1.0 + np.arange(1, at + 1))
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    first, last = np.minimum(places.above, at), np.minimum(places.above + places.tied, at)
    expected = (sums[last] - sums[first]) / places.tied
    ideal = np.sort(places.gains)[::-1][:at]
    return float(places.gains @ expected / (ideal @ discounts[: len(ideal)]))


def first_relevant(places: Places, at: int = AT) -> float:
    """1 / rank of the first relevant document, 0 if none is in the first `at`; at 1, whether it is first."""
    if not len(places.gains):
        return 0.0
    best = int(places.above.min())
    same = places.above == best
    return reciprocal_rank(best, int(places.tied[same][0]), int(same.sum()), at=at)


def recall(places: Places, at: int) -> float:
    """The share of all relevant documents that are among the first `at`."""
    if not len(places.gains):
        return 0.0
    return float(np.clip((at - places.above) / places.tied, 0.0, 1.0).mean())
