"""BM25: what a retrieval encoder has to beat, by counting words. No vectors, no training.

    score(q, d) = sum over words w of q:  idf(w) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * |d| / mean |d|))
    idf(w) = ln(1 + (n - df + 0.5) / (df + 0.5))

A word is a run of letters, digits or underscores, in lower case; no stemming. English stop words are left
out, since that makes it the stronger baseline: nDCG@10 .470 in place of .452 on all queries of MedQuAD.
Source: Robertson and Zaragoza 2009, with Lucene's idf, which is never negative.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from training.text.suite.ranked import NOBODY, Places, places_of

K1, B = 1.2, 0.75
WORD = re.compile(r"\w+")
# Lucene's English ones, and what questions are made of.
STOP_WORDS = re.compile(
    r"an?|and|are|as|at|be|but|by|for|if|in|into|is|it|no|not|of|on|or|such|that|the|their|then|there|these|"
    r"they|this|to|was|will|with|do|does|how|what|which|who"
)


class BM25:
    """An inverted index.

    Args:
        documents: their texts.
    """

    def __init__(self, documents: Iterable[str]) -> None:
        numbers: dict[str, list[int]] = defaultdict(list)
        counts: dict[str, list[int]] = defaultdict(list)
        lengths: list[int] = []
        for number, text in enumerate(documents):
            words = words_of(text)
            lengths.append(len(words))
            for word, count in Counter(words).items():
                numbers[word].append(number)
                counts[word].append(count)
        length = np.array(lengths, dtype=np.float64)
        self._saturation = K1 * (1 - B + B * length / max(length.mean(), 1e-9))  # [n]
        self._postings = {word: (np.array(numbers[word]), np.array(counts[word], float)) for word in numbers}

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        """float64 [n]; a word that the query has twice counts twice."""
        scores = np.zeros(len(self._saturation))
        for word in words_of(query):
            if word in self._postings:
                rows, tf = self._postings[word]
                idf = np.log1p((len(scores) - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += idf * tf * (K1 + 1) / (tf + self._saturation[rows])
        return scores

    def places(self, query: str, gains: Mapping[int, float], own: int = NOBODY) -> Places:
        """Where the relevant documents stand; one without a word in common, or `own`, is not found at all."""
        scores = self.scores(query)
        found = scores > 0
        if own != NOBODY:
            found[own] = False
        return places_of(scores, gains, found)


def words_of(text: str) -> list[str]:
    """The words that are counted."""
    return [word for word in WORD.findall(text.lower()) if not STOP_WORDS.fullmatch(word)]
