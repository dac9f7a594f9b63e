"""The search's recipes: what they say they are, and never larger than a route takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.engine import Registry
from app.main import create_app
from app.settings import Settings
from faults.search import shapes
from faults.search.__main__ import seeds
from faults.search.grammar import Grammar, limit

MADE = 300


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        ({"list": {"raw": "[]"}, "times": 3}, [[], [], []]),
        ({"object": 0, "times": 2}, {"k0": 0, "k1": 0}),
        ({"record": {"id": {"text": "ab", "chars": 5}}}, {"id": "ababa"}),
        ({"deep": "[", "times": 3}, [[[]]]),
        ({"list": {"text": "a", "chars": 3, "numbered": True}, "times": 2}, ["0 a", "1 a"]),
        ({"base64": 3}, "AAAA"),
    ],
)
def test_a_shape_is_the_json_that_it_describes(shape: Any, value: Any) -> None:
    assert json.loads(shapes.encoded(shape)) == value


@pytest.mark.parametrize("recipe", seeds(), ids=lambda recipe: json.dumps(recipe)[:60])
def test_the_size_of_a_seed_is_known_before_it_is_made(recipe: dict[str, Any]) -> None:
    size = len(shapes.body(recipe))

    assert size / 2 < shapes.size_of(recipe) < 2 * size


def test_random_recipes_and_their_changes_are_within_the_limits() -> None:
    grammar = Grammar(create_app(Settings(), Registry({})).openapi(), seed=0)

    for _ in range(MADE):
        recipe = grammar.new()
        for one in (recipe, grammar.changed(recipe)):
            assert shapes.size_of(one) <= limit(one)
