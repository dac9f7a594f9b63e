"""The baselines and the grids that each is tuned over, on validation users; about eight points for each.

A baseline is fitted to who took what, and scores new users by their histories. n users, k items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from training.recommender import baselines
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.ials import IALS

Floats: TypeAlias = npt.NDArray[np.float32]
Settings: TypeAlias = Mapping[str, Any]
Scorer: TypeAlias = Callable[[EvaluationSplit], Floats]  # of all items, (n, k)


@dataclass(eq=False)
class TrainingInteractions:
    """The data of baselines: item numbers of every training user; the number and the texts of all items."""

    histories: list[npt.NDArray[np.int64]]
    items: int
    texts: list[list[str]]

    @classmethod
    def of(cls, examples: RecommenderExamples) -> TrainingInteractions:
        """Take the users and items that the encoder is trained on."""
        histories = [examples.known[items] for items in examples.training_items()]
        return cls(histories, len(examples.log.items), examples.texts())

    @cached_property
    def matrix(self) -> Floats:
        """(users, k) of 0 and 1."""
        return baselines.multi_hot(self.histories, self.items)

    @cached_property
    def together(self) -> Floats:
        """Count the users of both of two items: (k, k)."""
        return self.matrix.T @ self.matrix

    @lru_cache(maxsize=2)  # noqa: B019  # lives as long as one fold; each is seconds of work and 40 MB
    def ease(self, regularisation: float) -> Floats:
        """EASE's weights, which several half-lives share: (k, k)."""
        return baselines.ease_of(self.together, regularisation)


@dataclass(frozen=True)
class TunedBaseline:
    """A baseline.

    Attributes:
        grid: settings to choose from.
        fit: interactions and some settings to a scorer.
    """

    name: str
    grid: Sequence[Settings]
    fit: Callable[[TrainingInteractions, Settings], Scorer]


def _popularity(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    counts = baselines.popularity(interactions.matrix)
    return lambda held_out: np.tile(counts, (len(held_out.warm), 1))


def _itemcf(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    similar = baselines.item_cosine_of(interactions.together, settings["shrink"])
    if settings["neighbours"] < len(similar):
        least = np.partition(similar, -settings["neighbours"], axis=0)[-settings["neighbours"]]
        similar = np.asarray(similar * (similar >= least), dtype=np.float32)
    return lambda held_out: recent(held_out, interactions.items, None) @ similar


def _ials(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    model = IALS(**settings)
    factors = model.fit(interactions.histories, interactions.items)
    return lambda held_out: model.scores(factors, held_out.warm)


def _ease(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    weights = interactions.ease(settings["lambda"])
    return lambda held_out: recent(held_out, interactions.items, settings.get("half_life_days")) @ weights


def _tfidf(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    rows = baselines.tfidf(interactions.texts)
    return lambda held_out: np.asarray(
        recent(held_out, interactions.items, settings["half_life_days"]) @ rows @ rows.T, dtype=np.float32
    )


def recent(held_out: EvaluationSplit, items: int, half_life_days: float | None) -> Floats:
    """Histories as rows, weighted 2^(-age / half-life) if there is one: (n, items)."""
    rows = np.zeros((len(held_out.warm), items), dtype=np.float32)
    for row, warm, ages in zip(rows, held_out.warm, held_out.ages_days, strict=True):
        row[warm] = 1.0 if half_life_days is None else np.exp2(-ages / half_life_days)
    return rows


def _grid(**options: Sequence[Any]) -> list[Settings]:
    return [dict(zip(options, values, strict=True)) for values in product(*options.values())]


BASELINES: Sequence[TunedBaseline] = (
    TunedBaseline("popularity", [{}], _popularity),
    TunedBaseline("itemcf", _grid(shrink=(0.0, 10.0, 30.0, 100.0), neighbours=(100, 1_000_000)), _itemcf),
    TunedBaseline(
        "ials",
        _grid(factors=(128,), regularisation=(0.003, 0.01, 0.02, 0.04), unobserved=(0.1, 0.3)),
        _ials,
    ),
    TunedBaseline(
        "ease", _grid(**{"lambda": (100.0, 250.0, 500.0, 750.0, 1000.0, 1500.0, 2000.0, 4000.0)}), _ease
    ),
    TunedBaseline(
        "ease, recency",
        _grid(**{"lambda": (500.0, 1000.0), "half_life_days": (30.0, 60.0, 120.0, 240.0)}),
        _ease,
    ),
)
COLD_BASELINES: Sequence[TunedBaseline] = (
    TunedBaseline("tfidf", _grid(half_life_days=(15.0, 30.0, 60.0, 120.0, 240.0, None)), _tfidf),
)
