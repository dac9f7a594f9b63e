"""The data of baselines: who took what and when, and what the items' texts say. n users, k items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.preprocess.features.words import bigrams
from bundle.values import DAY_S
from training.recommender import baselines
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit, InnerSplit
from training.recommender.data.records import Record

Floats: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]
HalfLives: TypeAlias = tuple[float, ...]  # in days, mixed; none: all entries weigh alike


@dataclass(eq=False)
class TrainingInteractions:
    """What a baseline is fitted to; matrices that several settings share are made once.

    Attributes:
        histories: item numbers of every training user.
        times: unix seconds of each.
        items: k.
        texts: words of every item.
        entries: what else is said of it by entries of bags and categories.
        now: unix seconds; days are counted back from it.
    """

    histories: list[Ints]
    times: list[npt.NDArray[np.float64]]
    items: int
    texts: list[list[str]]
    entries: list[list[str]]
    now: float

    @classmethod
    def of(cls, examples: RecommenderExamples, inner: InnerSplit | None = None) -> TrainingInteractions:
        """Take what the encoder is trained on, or the part of it that something is to be chosen by."""
        rows = examples.training_rows() if inner is None else inner.histories
        records = examples.item_records if inner is None else inner.item_records
        return cls(
            [examples.log.item[one] for one in rows],
            [examples.log.time[one] for one in rows],
            len(examples.log.items),
            examples.texts(records),
            entries_of(examples, records),
            examples.now if inner is None else inner.now,
        )

    @cached_property
    def together(self) -> Floats:
        """Count the users of both of two items: (k, k)."""
        matrix = baselines.multi_hot(self.histories, self.items)
        return matrix.T @ matrix

    @lru_cache(maxsize=2)  # noqa: B019  # lives as long as a protocol; each is seconds of work
    def ease(self, regularisation: float, dropout: float) -> Floats:
        """EASE's weights, which several half-lives share: (k, k)."""
        counts = np.diag(self.together)
        return baselines.ease_of(self.together, regularisation + dropout / (1 - dropout) * counts)

    @lru_cache(maxsize=4)  # noqa: B019
    def item_cosine(self, shrink: float, neighbours: int) -> Floats:
        """ItemCF's weights of each item's nearest neighbours: (k, k)."""
        similar = baselines.item_cosine_of(self.together, shrink)
        if neighbours < len(similar):
            least = np.partition(similar, -neighbours, axis=0)[-neighbours]
            similar = np.asarray(similar * (similar >= least), dtype=np.float32)
        return similar

    @lru_cache(maxsize=2)  # noqa: B019
    def alike_in_words(self, pairs: bool) -> Floats:
        """Cosines of the items' TF-IDF, with pairs of neighbouring words or without: (k, k)."""
        texts = [text + bigrams(text) if pairs else text for text in self.texts]
        return baselines.tfidf_cosine(
            [text + entries for text, entries in zip(texts, self.entries, strict=True)]
        )

    @lru_cache(maxsize=4)  # noqa: B019
    def spread_by_words(self, pairs: bool, ridge: float, candidates: bytes) -> Floats:
        """How much of each known item is in each candidate, by kernel ridge regression: (k, candidates).

        Rows of items that nobody took are 0. `candidates` are the bytes of int64 numbers.
        """
        known, wanted = np.flatnonzero(self.popularity(None)), np.frombuffer(candidates, dtype=np.int64)
        alike = self.alike_in_words(pairs)[known]  # (known, k)
        spread = np.zeros((self.items, len(wanted)), dtype=np.float32)
        spread[known] = baselines.kernel_ridge(alike[:, known], alike[:, wanted], ridge)
        return spread

    def popularity(self, days: float | None) -> Floats:
        """Count the users of each item in the last days, or ever: (k,)."""
        items, times = np.concatenate(self.histories), np.concatenate(self.times)
        if days is not None:
            items = items[times > self.now - days * DAY_S]
        return np.bincount(items, minlength=self.items).astype(np.float32)


def entries_of(examples: RecommenderExamples, records: Sequence[Record]) -> list[list[str]]:
    """The entries of each item's bags and categories, each a word of its own; the id is none."""
    specs = examples.item_schema.features
    bags = [spec.name for spec in specs if spec.kind == "bag"]
    categories = [spec.name for spec in specs if spec.kind == "category"]
    return [
        [f"{name} {entry}" for name in bags for entry in record.get(name, ())]
        + [f"{name} {record[name]}" for name in categories if name in record]
        for record in records
    ]


def history_rows(held_out: EvaluationSplit, items: int, half_lives_days: Sequence[float] = ()) -> Floats:
    """Histories as rows, each entry weighted by the mean of 2^(-age / half-life): (n, items)."""
    rows = np.zeros((len(held_out.warm), items), dtype=np.float32)
    for row, warm, ages in zip(rows, held_out.warm, held_out.ages_days, strict=True):
        decays = [np.exp2(-ages / half_life) for half_life in half_lives_days]
        row[warm] = np.mean(decays, axis=0) if decays else 1.0
    return rows
