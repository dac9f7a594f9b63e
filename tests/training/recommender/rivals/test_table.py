"""Every baseline on the shop whose right answers are known, and the grids they are tuned over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_shop

from training.config import parse_config
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.rivals.interactions import TrainingInteractions, history_rows
from training.recommender.rivals.search import Choice
from training.recommender.rivals.table import (
    BASELINES,
    COLD_BASELINES,
    EASE,
    EASE_NOW,
    TFIDF,
    TunedBaseline,
    values_of,
)
from training.recommender.settings import RecommenderRun


@pytest.fixture(scope="module")
def examples(shop: Path) -> RecommenderExamples:
    run = parse_config(tiny_shop.config(data=tiny_shop.config()["data"] | {"cold_items": 0.2}))
    assert isinstance(run, RecommenderRun)
    return RecommenderExamples(run, shop)


POPULARITY, *OTHERS = BASELINES


@pytest.fixture(scope="module")
def chosen(examples: RecommenderExamples) -> dict[str, Choice]:
    """What each baseline chooses on validation users, and new items' on items kept out."""
    found: dict[str, Choice] = {}
    users = TrainingInteractions.of(examples)
    for baseline in BASELINES:
        found[baseline.name] = baseline.choose(users, examples.validation(), "ndcg@100", found)
    inner = examples.validation_of_new_items(0.3)
    items = TrainingInteractions.of(examples, inner)
    for baseline in COLD_BASELINES:
        found[baseline.name] = baseline.choose(items, inner.held_out, "ndcg@100", found)
    return found


@pytest.mark.parametrize("baseline", OTHERS, ids=lambda one: one.name)
def test_rivals_know_the_groups_that_popularity_does_not(
    examples: RecommenderExamples, chosen: dict[str, Choice], baseline: TunedBaseline
) -> None:
    interactions, held_out = TrainingInteractions.of(examples), examples.test()

    popular = values_of(POPULARITY.fit(interactions, {"days": None}), held_out)["ndcg@100"].mean()
    own = values_of(baseline.fit(interactions, chosen[baseline.name].settings), held_out)["ndcg@100"].mean()

    assert own > popular + 0.1
    assert chosen[baseline.name].tried >= len({len(axis.values) for axis in baseline.axes})


@pytest.mark.parametrize("baseline", COLD_BASELINES, ids=lambda one: one.name)
def test_words_know_the_group_of_a_cold_item(
    examples: RecommenderExamples, chosen: dict[str, Choice], baseline: TunedBaseline
) -> None:
    held_out = examples.new_items()
    scorer = baseline.fit(TrainingInteractions.of(examples), chosen[baseline.name].settings)

    scores = scorer(held_out)[:, held_out.candidates]

    group = np.array([examples.log.items[item][0] for item in held_out.candidates])
    for user, row in zip(held_out.numbers, scores, strict=True):
        own = tiny_shop.GROUPS[int(examples.log.users[user][1:]) % 3][0]
        if own in group:
            assert group[row.argmax()] == own


def test_rivals_begin_with_what_the_ones_before_them_chose(chosen: dict[str, Choice]) -> None:
    assert chosen[EASE_NOW.name].value >= chosen["ease, recency"].value - 0.05
    assert chosen["ease, recency"].value >= chosen[EASE.name].value


def test_shuffled_log_teaches_nothing(examples: RecommenderExamples) -> None:
    """A leak would be found in spite of it: items that are dealt out anew tell no groups."""
    real, held_out = TrainingInteractions.of(examples), examples.test()
    random = np.random.default_rng(0)
    dealt = random.permutation(np.concatenate(real.histories))
    ends = np.cumsum([len(one) for one in real.histories])[:-1]
    shuffled = TrainingInteractions(
        [np.unique(one) for one in np.split(dealt, ends)],
        real.times,
        real.items,
        real.texts,
        real.entries,
        real.now,
    )

    settings = {"lambda": 100.0, "dropout": 0.0}
    own, fake = (values_of(EASE.fit(one, settings), held_out)["ndcg@100"].mean() for one in (real, shuffled))
    popular = values_of(POPULARITY.fit(real, {"days": None}), held_out)["ndcg@100"].mean()
    assert own > popular + 0.2
    assert fake < popular + 0.1


def test_popularity_may_be_that_of_the_last_days() -> None:
    day = 86_400.0
    interactions = TrainingInteractions(
        [np.array([0, 1]), np.array([0, 2])],
        [np.array([0.0, 9 * day]), np.array([0.0, 8.5 * day])],
        3,
        [[], [], []],
        [[], [], []],
        now=10 * day,
    )

    assert interactions.popularity(None).tolist() == [2, 1, 1]
    assert interactions.popularity(1.25).tolist() == [0, 1, 0]


def test_words_are_compared_by_pairs_only_where_that_is_chosen(examples: RecommenderExamples) -> None:
    interactions = TrainingInteractions.of(examples)

    assert not np.allclose(interactions.alike_in_words(True), interactions.alike_in_words(False))
    assert {axis.name for axis in TFIDF.axes} == {"pairs", "half_lives_days"}


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

    assert history_rows(held_out, 3, [10.0]).tolist() == [[1.0, 0.0, 0.5]]
    assert history_rows(held_out, 3).tolist() == [[1.0, 0.0, 1.0]]
    mixed = history_rows(held_out, 3, [10.0, 5.0])
    assert mixed.tolist() == [[1.0, 0.0, (0.5 + 0.25) / 2]]


def test_entries_of_bags_are_words_that_no_text_has(examples: RecommenderExamples) -> None:
    """The tags of the shop: its group, and "all"."""
    entries = TrainingInteractions.of(examples).entries

    assert entries[0] == ["tags garden", "tags all"]
    assert len(entries) == len(examples.log.items)
