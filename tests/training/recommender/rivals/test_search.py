"""The search finds the top of a hill wherever it is, and says when it has run out of ground."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from training.recommender.rivals.search import MOST_STEPS, Axis, Choice, search

AXES = (Axis("a", (1.0, 2.0), factor=2.0), Axis("b", ("x", "y")))
START = {"a": 1.0, "b": "x"}


@given(top=st.integers(-5, 6), right=st.sampled_from("xy"))
def test_top_beyond_either_end_is_found(top: int, right: str) -> None:
    def value(settings: Mapping[str, Any]) -> float:
        return float(settings["b"] == right) - abs(math.log2(settings["a"]) - top)

    found = search(AXES, START, value)

    assert found.settings == {"a": 2.0**top, "b": right}
    assert found.value == value(found.settings)
    assert found.at_edge == []


def test_hill_without_a_top_is_said() -> None:
    found = search(AXES, START, lambda settings: float(settings["a"]))

    assert found.settings["a"] == 2.0 * 2.0**MOST_STEPS
    assert found.at_edge == ["a"]


def test_least_value_is_no_edge() -> None:
    axis = Axis("weight", (0.0, 1.0), factor=2.0, least=0.0)

    found = search([axis], {"weight": 1.0}, lambda settings: -float(settings["weight"]))

    assert (found.settings, found.at_edge, found.tried) == ({"weight": 0.0}, [], 2)


def test_first_of_equal_settings_stays() -> None:
    assert search(AXES, START, lambda settings: 0.0).settings == START


def test_choice_comes_back_from_json_as_it_was() -> None:
    choice = Choice({"half_lives_days": (20.0, 200.0), "days": None}, 0.5, 3, ["weight"])

    assert Choice.from_json(json.loads(json.dumps(asdict(choice)))) == choice
