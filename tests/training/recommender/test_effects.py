"""What features are said to change, by encoders whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from bundle.inputs import Input
from bundle.preprocess.features import Features
from training.metrics import MetricValue
from training.recommender.effects import Effect, ValidationUsers, as_metrics, effects, sentences

ITEMS, HALF = 60, 30
Floats = npt.NDArray[np.float32]


def users(inputs: Sequence[Input]) -> Floats:
    """[is of side a, is of side b, 1]; `noise` says nothing, and neither does a history."""
    sides = [one.values.get("side") for one in inputs if isinstance(one, Features)]
    return np.array([[side == "a", side == "b", 1.0] for side in sides], dtype=np.float32)


def items(inputs: Sequence[Input]) -> Floats:
    """Items of the half that `half` names are for that side; a late one is a little better by its id."""
    values = [one.values for one in inputs if isinstance(one, Features)]
    rows = [[one.get("half") == "a", one.get("half") == "b", one.get("id", 0) / 1000] for one in values]
    return np.array(rows, dtype=np.float32)


ASKED = ValidationUsers(
    users=[Features({"side": "ab"[n % 2], "noise": n, "history": [n]}) for n in range(10)],
    items=[Features({"id": n, "half": "ab"[n // HALF], "colour": "red"}) for n in range(ITEMS)],
    history=[np.array([n], dtype=np.int64) for n in range(10)],
    targets=[np.array([HALF - 1 + HALF * (n % 2)]) for n in range(10)],
)


@pytest.fixture(scope="module")
def found() -> dict[str, Effect]:
    names = (["side", "noise"], ["half", "colour"])
    rows = effects(ASKED, (users, items), names, history_name="history", id_name="id", metric="ndcg@100")
    return {one.feature: one for one in rows}


def test_feature_that_decides_changes_what_is_shown(found: dict[str, Effect]) -> None:
    """Without their side users of a are shown the late items, which are all b's: all twenty, and b's none."""
    assert found["side"].known == found["side"].new == 10.0
    assert found["side"].lost.mean > 0.2
    assert not found["side"].is_nothing


def test_feature_of_items_is_measured_without_their_ids(found: dict[str, Effect]) -> None:
    assert found["half"].known > 5.0
    assert not found["half"].is_nothing


@pytest.mark.parametrize("name", ["noise", "colour"])
def test_feature_without_effect_is_named(found: dict[str, Effect], name: str) -> None:
    assert found[name] == Effect(name, found[name].lost, 0.0, 0.0, 0.0, 0.0)
    assert found[name].lost.mean == 0.0
    told = sentences(list(found.values()), "ndcg@100")

    assert any(one.startswith("declared but without effect: noise, colour; leave them out") for one in told)


def test_feature_that_most_hangs_on_is_doubted() -> None:
    """As one that was made of the targets: the history of whoever is known says less than it."""
    no_error = MetricValue(0.5, 0.0)
    told = sentences(
        [Effect("favourite", no_error, 0.8, 9.0, 9.0, 9.0), Effect("side", no_error, 0.4, 9.0, 9.0, 9.0)],
        "ndcg@100",
    )

    assert [one.partition(":")[0] for one in told] == ["favourite", "side", "favourite"]
    assert told[-1].startswith("favourite: 80% of ndcg@100 hangs on it")


def test_features_that_say_the_same_are_not_called_without_effect() -> None:
    """Neither is missed while the other is there."""

    def by_either(inputs: Sequence[Input]) -> Floats:
        known = [one for one in inputs if isinstance(one, Features)]
        return users([Features({"side": one.values.get("side", one.values.get("twin"))}) for one in known])

    twins = [Features({**one.values, "twin": one.values["side"]}, one.now) for one in ASKED.users]
    asked = ValidationUsers(twins, ASKED.items, ASKED.history, ASKED.targets)

    rows = effects(
        asked,
        (by_either, items),
        (["side", "twin", "noise"], []),
        history_name="history",
        id_name="id",
        metric="ndcg@100",
    )

    assert [one.new for one in rows] == [0.0, 0.0, 0.0]
    assert [one.alone for one in rows] == [10.0, 10.0, 0.0]
    assert [one.is_nothing for one in rows] == [False, False, True]


def test_nothing_is_named_where_all_have_an_effect(found: dict[str, Effect]) -> None:
    lines = sentences([found["side"]], "ndcg@100")

    assert len(lines) == 1
    assert lines[0].startswith("side: hiding it changes 10.0 of 20 titles of a new user, 10.0 of a known one")


def test_effects_are_rows_of_the_table_of_metrics(found: dict[str, Effect]) -> None:
    rows = as_metrics([found["side"]], "ndcg@100")

    assert rows["side hidden: titles changed of 20, new users"].value == 10.0
    assert rows["side hidden: ndcg@100 lost"].value == pytest.approx(found["side"].lost.mean)
