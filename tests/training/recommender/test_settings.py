"""The settings of a recommender's run: losses own theirs, and earlier forms are answered with the new one."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_shop

from training.config import ConfigError, parse_config
from training.recommender.objectives.full_softmax import FullSoftmaxLoss
from training.recommender.rules import check
from training.recommender.settings import RecommenderRun

FORMER: list[tuple[dict[str, Any], str]] = [
    (
        {"loss": {"kind": "bpr"}},
        'loss.kind = "bpr" is now a table of that name, for example [loss.sampled_softmax]',
    ),
    (
        {"loss": {"uniform_negatives": 10}},
        "loss.uniform_negatives = 10 is now uniform_negatives = 10 in [loss.sampled_softmax] or [loss.bpr]",
    ),
    (
        {"loss": {"positive": "corrected"}},
        'loss.positive = "corrected" is now [loss.sampled_softmax] positive = "corrected"',
    ),
    (
        {"data": tiny_shop.config()["data"] | {"judged_users": 3}},
        "data.judged_users = 3 is now evaluation_users = 3",
    ),
    ({"loss": {"ask": "latest"}}, 'loss.ask = "latest" is now targets = "latest"'),
    ({"loss": {"ask_share": [0.1, 0.4]}}, "loss.ask_share = [0.1, 0.4] is now target_fraction = [0.1, 0.4]"),
    (
        {"towers": {"start": {"scale": 2.0}}},
        'towers.start = {"scale": 2.0} is now [towers.initialisation], with the same settings',
    ),
]


def run_of(**changes: Any) -> RecommenderRun:
    run = parse_config(tiny_shop.config(**changes))
    assert isinstance(run, RecommenderRun)
    return run


@pytest.mark.parametrize(("changes", "message"), FORMER)
def test_former_words_are_answered_with_the_new_ones(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run_of(**changes)

    assert str(caught.value) == message


def test_all_items_are_scored_where_no_loss_is_named() -> None:
    assert isinstance(run_of().loss.chosen, FullSoftmaxLoss)


def test_what_nothing_reads_may_stand_at_its_default_only() -> None:
    """The same rule as for text."""
    history = tiny_shop.config()["user"][0]
    run_of(user=[history, {"name": "c", "kind": "category", "log1p": False}])
    run_of(towers={"sequence": {"kind": "gru", "heads": 2}})

    with pytest.raises(ConfigError, match="log1p says nothing about a category"):
        run_of(user=[history, {"name": "c", "kind": "category", "log1p": True}])
    with pytest.raises(ConfigError, match="heads says nothing about a gru"):
        run_of(towers={"sequence": {"kind": "gru", "heads": 4}})


def test_a_run_that_was_written_down_can_be_read_again() -> None:
    """With every default in it, as in config.json."""
    run = run_of()

    assert parse_config(run.model_dump()) == run


@pytest.mark.parametrize(
    ("item_dim", "output_dim", "unweighted"), [(16, 9, False), (128, 64, True), (1, 9, None)]
)
def test_item_inputs_too_narrow_for_the_start_are_refused_before_it_is_chosen(
    item_dim: int, output_dim: int, unweighted: bool | None
) -> None:
    layers = {"output_dim": output_dim}
    towers = {
        "item_dim": item_dim,
        "initialisation": {},
        "user": layers,
        "item": layers,
        "half_lives_days": [9.0],
    }
    run = run_of(towers=towers | {"unweighted": unweighted})

    with pytest.raises(ConfigError, match=r"towers.item_dim is .*, and the start needs .* leave it out"):
        check(run)


def test_item_inputs_just_wide_enough_are_taken() -> None:
    layers = {"output_dim": 9}

    check(run_of(towers={"item_dim": 17, "initialisation": {}, "user": layers, "item": layers}))
