"""The baselines, and the grids that each is tuned over.

A baseline is fitted to who took what, and scores users by their histories. n users, k items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from training.recommender.data.held_out import EvaluationSplit
from training.recommender.ials import IALS
from training.recommender.ranking import Values, evaluate_users
from training.recommender.rivals.interactions import Floats, TrainingInteractions, history_rows
from training.recommender.rivals.search import Axis, Choice, Settings, search

Scorer: TypeAlias = Callable[[EvaluationSplit], Floats]  # of all items, (n, k)

HALF_LIVES = (
    (), (7.0,), (20.0,), (60.0,), (200.0,), (600.0,), (2000.0,), (20.0, 200.0), (20.0, 200.0, 2000.0),
)  # fmt: skip
DAYS = (7.0, 14.0, 30.0, 60.0, None)

_LAMBDA = Axis("lambda", (250.0, 500.0, 1000.0, 2000.0), factor=2.0)
_DROPOUT = Axis("dropout", (0.0, 0.1, 0.25, 0.5))
_HALF_LIVES = Axis("half_lives_days", HALF_LIVES)


@dataclass(frozen=True)
class TunedBaseline:
    """A baseline.

    Attributes:
        axes: what is tuned.
        start: settings to begin with.
        fit: interactions and some settings to a scorer.
        after: another baseline, with whose choice this one begins.
    """

    name: str
    axes: Sequence[Axis]
    start: Settings
    fit: Callable[[TrainingInteractions, Settings], Scorer]
    after: str = ""

    def choose(
        self,
        interactions: TrainingInteractions,
        held_out: EvaluationSplit,
        metric: str,
        others: Mapping[str, Choice],
    ) -> Choice:
        """The settings with the best mean on a split to choose by; `others` are chosen already."""

        def value(settings: Settings) -> float:
            return float(values_of(self.fit(interactions, settings), held_out)[metric].mean())

        begin = dict(self.start) | (dict(others[self.after].settings) if self.after in others else {})
        return search(self.axes, begin, value)


def values_of(scorer: Scorer, held_out: EvaluationSplit) -> Values:
    """Every metric per user."""
    return evaluate_users(scorer(held_out)[:, held_out.candidates], held_out.history, held_out.targets)


def _popularity(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    counts = interactions.popularity(settings["days"])
    return lambda held_out: np.tile(counts, (len(held_out.warm), 1))


def _itemcf(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    similar = interactions.item_cosine(settings["shrink"], settings["neighbours"])
    half_lives = settings["half_lives_days"]
    return lambda held_out: history_rows(held_out, interactions.items, half_lives) @ similar


def _ials(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    model = IALS(**settings)
    factors = model.fit(interactions.histories, interactions.items)
    return lambda held_out: model.scores(factors, held_out.warm)


def _ease(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    weights = interactions.ease(settings["lambda"], settings["dropout"])
    half_lives = settings.get("half_lives_days", ())
    return lambda held_out: history_rows(held_out, interactions.items, half_lives) @ weights


def _ease_and_popularity(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    ease, counts = _ease(interactions, settings), interactions.popularity(settings["days"])
    popularity = settings["weight"] * counts / max(1.0, float(counts.max()))
    return lambda held_out: ease(held_out) + popularity[None, :]


def _tfidf(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    alike, half_lives = interactions.alike_in_words(settings["pairs"]), settings["half_lives_days"]
    return lambda held_out: history_rows(held_out, interactions.items, half_lives) @ alike


def _kernel_ridge(interactions: TrainingInteractions, settings: Settings) -> Scorer:
    weights, half_lives = interactions.ease(settings["lambda"], 0.0), settings["half_lives_days"]

    def scores(held_out: EvaluationSplit) -> Floats:
        spread = interactions.spread_by_words(
            settings["pairs"], settings["ridge"], held_out.candidates.tobytes()
        )
        rows = history_rows(held_out, interactions.items, half_lives)
        found = np.zeros_like(rows)
        found[:, held_out.candidates] = (rows @ weights + settings["own"] * rows) @ spread
        return found

    return scores


POPULARITY = TunedBaseline("popularity", (Axis("days", DAYS),), {"days": None}, _popularity)
ITEMCF = TunedBaseline(
    "itemcf",
    (
        Axis("shrink", (0.0, 10.0, 30.0, 100.0), factor=3.0, least=0.0),
        Axis("neighbours", (50, 200, 1_000_000)),
        _HALF_LIVES,
    ),
    {"shrink": 0.0, "neighbours": 1_000_000, "half_lives_days": ()},
    _itemcf,
)
EASE = TunedBaseline("ease", (_LAMBDA, _DROPOUT), {"lambda": 500.0, "dropout": 0.0}, _ease)
EASE_RECENCY = TunedBaseline(
    "ease, recency",
    (_HALF_LIVES, _LAMBDA, _DROPOUT),
    {"lambda": 500.0, "dropout": 0.0, "half_lives_days": ()},
    _ease,
    after="ease",
)
EASE_NOW = TunedBaseline(
    "ease, recency and popularity now",
    (Axis("days", DAYS), Axis("weight", (0.0, 0.01, 0.03, 0.1), factor=2.0, least=0.0), _HALF_LIVES),
    {**EASE_RECENCY.start, "days": 30.0, "weight": 0.03},
    _ease_and_popularity,
    after="ease, recency",
)
IALS_TUNED = TunedBaseline(
    "ials",
    (
        Axis("unobserved", (0.05, 0.1, 0.2), factor=2.0),
        Axis("regularisation", (0.005, 0.01, 0.02), factor=2.0),
        Axis("factors", (64, 128, 256)),
    ),
    {"factors": 128, "regularisation": 0.01, "unobserved": 0.1},
    _ials,
)
TFIDF = TunedBaseline(
    "tfidf",
    (Axis("pairs", (False, True)), _HALF_LIVES),
    {"pairs": False, "half_lives_days": ()},
    _tfidf,
)
KERNEL_RIDGE = TunedBaseline(
    "ridge from words to ease",
    (
        Axis("own", (0.0, 0.1, 0.3, 1.0), factor=3.0, least=0.0),
        Axis("ridge", (0.1, 0.3, 1.0, 3.0), factor=3.0),
        Axis("pairs", (False, True)),
        _HALF_LIVES,
        _LAMBDA,
    ),
    {"own": 0.3, "ridge": 1.0, "pairs": True, "half_lives_days": (), "lambda": 500.0},
    _kernel_ridge,
)

BASELINES: Sequence[TunedBaseline] = (POPULARITY, ITEMCF, IALS_TUNED, EASE, EASE_RECENCY, EASE_NOW)
COLD_BASELINES: Sequence[TunedBaseline] = (TFIDF, KERNEL_RIDGE)
