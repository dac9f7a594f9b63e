"""Every baseline on the shop whose right answers are known, and the grids they are tuned over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_shop

from training.config import parse_config
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.settings import RecommenderRun
from training.recommender.suite.command import best, values_of
from training.recommender.suite.tuned_baselines import (
    BASELINES,
    COLD_BASELINES,
    TrainingInteractions,
    TunedBaseline,
    recent,
)


@pytest.fixture(scope="module")
def examples(shop: Path) -> RecommenderExamples:
    run = parse_config(tiny_shop.config(data=tiny_shop.config()["data"] | {"cold_items": 0.2}))
    assert isinstance(run, RecommenderRun)
    return RecommenderExamples(run, shop)


POPULARITY, *OTHERS = BASELINES


@pytest.mark.parametrize("baseline", OTHERS, ids=lambda one: one.name)
def test_rivals_know_the_groups_that_popularity_does_not(
    examples: RecommenderExamples, baseline: TunedBaseline
) -> None:
    interactions, held_out = TrainingInteractions.of(examples), examples.test()

    settings = best(baseline, interactions, examples.validation(), "ndcg@100")

    assert settings in baseline.grid
    popular = values_of(POPULARITY.fit(interactions, {}), held_out)["ndcg@100"].mean()
    assert values_of(baseline.fit(interactions, settings), held_out)["ndcg@100"].mean() > popular + 0.1


def test_tfidf_knows_the_group_of_a_cold_item(examples: RecommenderExamples) -> None:
    held_out = examples.new_items()
    scores = COLD_BASELINES[0].fit(TrainingInteractions.of(examples), {"half_life_days": None})(held_out)[
        :, held_out.candidates
    ]

    right = [
        np.isin(int(row.argmax()), targets) for row, targets in zip(scores, held_out.targets, strict=True)
    ]
    assert np.mean(right) > 0.8  # chance is a third; the best of the group may not be among the interactions


def test_rivals_are_tuned_with_like_effort() -> None:
    assert {len(one.grid) for one in BASELINES} == {1, 8}


def test_recency_halves_per_half_life() -> None:
    held_out = EvaluationSplit(
        numbers=np.arange(1),
        users=[],
        candidates=np.arange(3),
        history=[],
        targets=[],
        warm=[np.array([2, 0])],
        ages_days=[np.array([10.0, 0.0])],
    )

    assert recent(held_out, 3, 10.0).tolist() == [[1.0, 0.0, 0.5]]
    assert recent(held_out, 3, None).tolist() == [[1.0, 0.0, 1.0]]
