"""The sentence at the end of a run, for pairs that are above, beside and below a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tiny_shop

from training.config import parse_config
from training.recommender.settings import RecommenderRun
from training.recommender.verdict import verdict

METRIC = "ndcg@100"
RIVAL = np.linspace(0.1, 0.5, 100)
CHOSEN: dict[str, dict[str, Any]] = {
    "popularity": {},
    "ease, recency": {"lambda": 250.0, "dropout": 0.0, "half_lives_days": ()},
}


def said(gap: float, spread: float = 0.0, **towers: Any) -> str:
    """Of a pair that is so far from the best baseline, user by user."""
    run = parse_config(tiny_shop.config(towers=tiny_shop.config()["towers"] | towers))
    assert isinstance(run, RecommenderRun)
    own = RIVAL + gap + spread * np.where(np.arange(100) % 2, 1, -1)
    others = {"popularity": {METRIC: RIVAL - 0.05}, "ease, recency": {METRIC: RIVAL}}
    return verdict(run, {METRIC: own}, others, CHOSEN)


def test_pair_that_is_better_says_by_how_much_and_than_what() -> None:
    sentence = said(0.02)

    assert sentence.startswith("ndcg@100 0.3200, better than what needs no training")
    assert (
        "ease, recency, has 0.3000; the difference is +0.0200 (95 %: +0.0200 to +0.0200, 100 users)"
        in sentence
    )
    assert "Try" not in sentence


def test_pair_that_is_below_says_so_and_what_to_try() -> None:
    sentence = said(-0.02, item_dim=17, initialisation={"ease_lambda": 1000.0})

    assert "0.2800 is BELOW a baseline" in sentence
    assert "-0.0200" in sentence
    assert "towers.initialisation.ease_lambda = 250; towers.half_lives_days = []" in sentence


def test_pair_that_is_as_good_is_not_called_better() -> None:
    assert "cannot be told from a baseline" in said(0.001, spread=0.1)
    assert "Try" not in said(0.001, spread=0.1)  # the baseline has nothing that would be better
    assert "Try" in said(-0.001, spread=0.1)


def test_pair_without_a_start_is_told_of_it() -> None:
    assert "[towers.initialisation]" in said(-0.02)


def test_baselines_that_only_popularity_is_better_than_have_no_settings_to_suggest() -> None:
    run = parse_config(tiny_shop.config())
    assert isinstance(run, RecommenderRun)

    sentence = verdict(run, {METRIC: RIVAL - 0.1}, {"popularity": {METRIC: RIVAL}}, CHOSEN)

    assert "the best tuned baseline, popularity" in sentence
    assert "half_lives_days" not in sentence


START = {"ease_lambda": 300.0, "itemcf": 0.5, "shrink": 10.0}


def tried(rival: Mapping[str, Any], **towers: Any) -> str:
    """What a pair below a baseline of these settings is told to try."""
    base = tiny_shop.config()
    half_lives = {"half_lives_days": [20.0], "initialisation": START, "item_dim": 17}
    run = parse_config(base | {"towers": base["towers"] | half_lives | towers})
    assert isinstance(run, RecommenderRun)
    return verdict(run, {METRIC: RIVAL - 0.1}, {"it": {METRIC: RIVAL}}, {"it": rival}).partition("Try ")[2]


@pytest.mark.parametrize(
    ("rival", "advice"),
    [
        (
            {"lambda": 300.0, "dropout": 0.0},  # without half-lives: they are not what it is better by
            "towers.initialisation.itemcf = 0",
        ),
        (
            {"lambda": 30.0, "half_lives_days": (20.0,)},
            "towers.initialisation.itemcf = 0; towers.initialisation.ease_lambda = 30",
        ),
        (
            {"shrink": 10.0, "neighbours": 50, "half_lives_days": ()},
            "towers.initialisation.itemcf = 1; towers.half_lives_days = [] (entries of all ages weigh alike)",
        ),
        (
            {"pairs": True, "half_lives_days": (20.0,)},  # words alone: own items say more of new ones
            "bigrams = true of title; towers.initialisation.content_own = 2",
        ),
        ({"own": 0.3, "ridge": 1.0, "pairs": True, "lambda": 30.0}, "bigrams = true of title"),
    ],
)
def test_advice_is_what_the_rival_has_and_the_config_has_not(rival: dict[str, Any], advice: str) -> None:
    assert tried(rival) == advice


def test_words_alone_that_are_better_ask_for_more_of_them_than_there_is() -> None:
    rival = {"pairs": False, "half_lives_days": (20.0,)}

    advice = tried(rival, initialisation=START | {"content_own": 3.0})

    assert advice == "towers.initialisation.content_own = 6"


def test_half_lives_are_no_advice_for_new_items_where_histories_are_read_unweighted() -> None:
    rival = {"own": 0.3, "ridge": 1.0, "lambda": 30.0, "half_lives_days": (600.0,)}

    assert "half_lives" in tried(rival)
    assert "half_lives" not in tried(rival, unweighted=True)


def test_rival_with_popularity_of_now_names_its_days() -> None:
    rival = {"lambda": 300.0, "days": 14.0, "weight": 0.03}

    assert tried(rival).endswith("[towers.recent] with days = 14")
    assert "recent" not in tried(rival, recent={"days": 14, "weight": 0.1})


def test_rival_whose_settings_are_the_configs_suggests_none() -> None:
    own = {"lambda": 300.0, "half_lives_days": (20.0,)}

    assert "in the config already" in tried(own, initialisation=START | {"itemcf": 0.0})


@pytest.mark.parametrize("metric", ["recall@20", "capped recall@20"])
def test_comparison_is_by_the_metric_of_the_run(metric: str) -> None:
    run = parse_config(tiny_shop.config(train=tiny_shop.config()["train"] | {"metric": metric}))
    assert isinstance(run, RecommenderRun)

    assert verdict(run, {metric: RIVAL}, {"popularity": {metric: RIVAL}}, CHOSEN).startswith(
        f"{metric} 0.3000"
    )
