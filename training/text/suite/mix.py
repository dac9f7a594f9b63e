"""Words beside vectors: a bundle's BM25 mixed with its cosines, as POST /score with `mix` ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from bundle.lexical import MIX, SparseVector, mixed
from training.text.suite.ranked import NOBODY, Ints, Places, places_of
from training.text.suite.task import Floats


class SparseIndex:
    """An inverted index of sparse vectors."""

    def __init__(self, documents: Sequence[SparseVector]) -> None:
        terms = np.concatenate([one.indices for one in documents])
        order = np.argsort(terms, kind="stable")
        self._terms = terms[order]
        self._rows = np.repeat(np.arange(len(documents)), [len(one) for one in documents])[order]
        self._weights = np.concatenate([one.values for one in documents])[order].astype(np.float64)
        self._count = len(documents)

    def scores(self, query: SparseVector) -> npt.NDArray[np.float64]:
        """Inner products with all documents. float64 [n]."""
        scores = np.zeros(self._count)
        starts = np.searchsorted(self._terms, query.indices, side="left")
        ends = np.searchsorted(self._terms, query.indices, side="right")
        for start, end, weight in zip(starts, ends, query.values.tolist(), strict=True):
            scores[self._rows[start:end]] += weight * self._weights[start:end]
        return scores


def search_mixed(
    queries: tuple[Floats, Sequence[SparseVector]],
    documents: tuple[Floats, Sequence[SparseVector]],
    relevant: Sequence[Mapping[int, float]],
    own: Ints,
) -> list[Places]:
    """Places by the recommended mix, of dense vectors (L2-normalised) and sparse ones of either side.

    `relevant` and `own` as in `training.text.suite.ranked.search`.
    """
    index, places = SparseIndex(documents[1]), list[Places]()
    for vector, words, gains, itself in zip(*queries, relevant, own.tolist(), strict=True):
        scores = mixed(documents[0] @ vector, index.scores(words), MIX).astype(np.float64)
        found = np.ones(len(scores), dtype=np.bool_)
        if itself != NOBODY:
            found[itself] = False
        places.append(places_of(scores, gains, found))
    return places
