"""Histories of ids and of records to ids, ages and the content of items never seen."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from strategies import feature_objects

from bundle import Features, InputError, Truncation
from bundle.preprocess.features import FeatureFacts, FeaturePreprocessor
from bundle.preprocess.features.preprocessor import VALUES
from bundle.preprocess.features.schema import FIRST, MISSING, PAD, UNKNOWN, FeatureSchema

DAY_S = 86_400
NOW = 1_700_000_000.0
HISTORY: dict[str, Any] = {
    "name": "history", "kind": "history", "vocabulary": ["A", "B", "C"], "max_length": 4,
}  # fmt: skip


def loaded(feature: dict[str, Any]) -> FeaturePreprocessor:
    schema = {"schema_version": 1, "side": "user", "features": [feature]}
    return FeaturePreprocessor(FeatureSchema.from_bytes(json.dumps(schema).encode()))


PLAIN = loaded(HISTORY)


def read(now: float | None = NOW, **values: Any) -> tuple[dict[str, list[Any]], FeatureFacts]:
    """Arrays as lists, and the facts."""
    (prepared,) = PLAIN.prepare([Features(values, now)])
    return {name: array.tolist() for name, array in prepared.arrays.items()}, prepared.facts


def refusal(values: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        PLAIN.prepare([Features({}, NOW), Features(values, NOW)])
    assert caught.value.index == 1
    return caught.value


def test_history_of_ids() -> None:
    arrays, facts = read(history=["C", "A"])
    assert arrays["history"] == [FIRST + 2, FIRST]
    assert arrays["history_age"] == [0.0, 0.0]
    assert facts.warnings == {}


def test_history_ages_are_days_since_the_newest_entry() -> None:
    history = [
        {"id": "A", "time": "2023-11-14"},
        {"id": "B", "time": "2023-11-13T12:00:00+00:00"},
        {"id": "C", "time": 1_699_833_600},  # 2023-11-13
    ]
    assert read(history=history)[0]["history_age"] == [0.0, 0.5, 1.0]


def test_history_ages_do_not_depend_on_now() -> None:
    history = [{"id": "A", "time": 10 * DAY_S}, {"id": "B", "time": 0}]
    assert read(now=None, history=history) == read(history=history)


def test_entry_without_a_time_is_as_old_as_the_one_before_it() -> None:
    history = ["A", {"id": "B", "time": 3 * DAY_S}, {"id": "C", "time": DAY_S}, "A"]
    assert read(history=history)[0]["history_age"] == [0.0, 0.0, 2.0, 2.0]


def test_unknown_items_are_skipped_and_the_others_keep_their_ages() -> None:
    history = [{"id": item, "time": -days * DAY_S} for days, item in enumerate(["A", "Z", "B"])]
    arrays, facts = read(history=history)
    assert arrays["history"] == [FIRST, FIRST + 1]
    assert arrays["history_age"] == [0.0, 2.0]
    assert facts == FeatureFacts(unknown=("history",), unknown_entries=(1,))


def test_history_is_cut_to_the_newest() -> None:
    arrays, facts = read(history=["A", "B", "C", "A", "B", "C"])
    assert arrays["history"] == [FIRST, FIRST + 1, FIRST + 2, FIRST]
    assert facts.truncated == (Truncation("history", 6, 4, "entries"),)


@pytest.mark.parametrize(("history", "unknown"), [([], ()), (None, ()), (["Z", "Y"], ("history",))])
def test_history_without_a_known_item_is_empty_and_that_is_told(
    history: Any, unknown: tuple[str, ...]
) -> None:
    arrays, facts = read(history=history)
    assert (arrays["history"], arrays["history_age"]) == ([PAD], [0.0])
    assert facts == FeatureFacts(
        unknown=unknown, unknown_entries=tuple(range(len(history or ()))), empty_history=True
    )


@pytest.mark.parametrize(
    ("entry", "code", "path"),
    [
        ({}, "missing_field", "[1]"),
        ({"time": 5}, "missing_field", "[1]"),
        ({"id": "A", "price": 5}, "unknown_field", "[1]"),
        ({"id": "A", 5: 5}, "unknown_field", "[1]"),
        ({"id": None}, "wrong_type", "[1].id"),
        ({"id": "A", "time": "soon"}, "wrong_type", "[1].time"),
        ({"id": "A", "time": math.nan}, "not_finite", "[1].time"),
    ],
)
def test_bad_history_entry_is_refused_with_its_place(entry: Any, code: str, path: str) -> None:
    error = refusal({"history": ["A", entry]})
    assert (error.code, error.path) == (code, f".history{path}")


# Items never seen, told of in a history.

CONTENT: list[dict[str, Any]] = [
    {"name": "title", "kind": "text", "vocabulary": ["lamp", "café"], "max_length": 3},
    {"name": "price", "kind": "number", "log1p": False, "mean": 1.0, "std": 2.0, "clip": 3.0},
]
TOLD = loaded(HISTORY | {"content": CONTENT})


def told(history: Any) -> tuple[dict[str, list[Any]], FeatureFacts]:
    (prepared,) = TOLD.prepare([Features({"history": history}, NOW)])
    return {name: array.tolist() for name, array in prepared.arrays.items()}, prepared.facts


def test_new_item_is_an_entry_with_its_content_and_the_answer_says_which_was_which() -> None:
    new = {"id": "Z", "title": "lamp café", "price": 1, "time": 5 * DAY_S}
    arrays, facts = told(["Y", {"id": "A", "time": 6 * DAY_S}, new, "B"])

    assert arrays == {
        "history": [FIRST, UNKNOWN, FIRST + 1],
        "history_age": [0.0, 1.0, 1.0],
        "history_new": [2],
        "history_new_title": [[FIRST, FIRST + 1]],
        "history_new_price": [[0.0, 0.0]],
    }
    assert facts == FeatureFacts(unknown=("history",), new_entries=(2,), unknown_entries=(0,))


def test_history_without_a_new_item_says_so_by_padding() -> None:
    arrays, facts = told(["A"])

    assert (arrays["history_new"], arrays["history_new_title"]) == ([PAD], [[MISSING]])
    assert arrays["history_new_price"] == [[0.0, 1.0]]
    assert facts.warnings == {}


def test_id_alone_and_whole_record_of_a_known_item_are_the_same() -> None:
    assert told([{"id": "A", "title": "another lamp", "price": 5}]) == told(["A"])


def test_new_item_needs_no_id() -> None:
    assert told([{"title": "lamp"}]) == told([{"id": "Z", "title": "lamp", "price": None}])


def test_history_of_new_items_alone_is_not_empty() -> None:
    assert told([{"title": "lamp"}])[1] == FeatureFacts(new_entries=(0,))


@pytest.mark.parametrize("entry", ["Z", {"id": "Z"}, {"id": "Z", "title": None}])
def test_item_never_seen_without_content_is_skipped(entry: Any) -> None:
    arrays, facts = told([entry, "A"])

    assert arrays == told(["A"])[0]
    assert facts == FeatureFacts(unknown=("history",), unknown_entries=(0,))


def test_what_is_cut_or_unknown_in_a_new_item_is_told_with_its_place() -> None:
    _, facts = told(["A", {"id": "Z", "title": "lamp lamp lamp lampshade"}, {"id": "Y", "title": "shade"}])

    assert facts.truncated == (Truncation("history[1].title", 4, 3, "words"),)
    assert facts.unknown == ("history.title",)


@pytest.mark.parametrize(
    ("entry", "code", "path"),
    [
        ({"id": "Z", "titel": "lamp"}, "unknown_field", "[1]"),
        ({"time": 5}, "missing_field", "[1]"),
        ({"id": "Z", "title": 5}, "wrong_type", "[1].title"),
        ({"id": "Z", "price": math.inf}, "not_finite", "[1].price"),
    ],
)
def test_bad_record_of_a_new_item_is_refused_with_its_place(entry: Any, code: str, path: str) -> None:
    with pytest.raises(InputError) as caught:
        told(["A", entry])
    assert (caught.value.code, caught.value.path) == (code, f".history{path}")


def test_new_items_are_padded_in_a_batch() -> None:
    two = {"history": [{"title": "lamp"}, {"title": "lamp café lamp"}]}
    arrays = TOLD.collate(TOLD.prepare([Features({"history": ["A"]}), Features(two)]))

    assert arrays["history_new"].tolist() == [[PAD, PAD], [1, 2]]
    assert arrays["history_new_title"][1].tolist() == [[FIRST, PAD, PAD], [FIRST, FIRST + 1, FIRST]]
    assert arrays["history_new_price"].shape == (2, 2, 2)


@given(values=feature_objects(["history", "title"]))
def test_prepare_with_content_is_total(values: dict[Any, Any]) -> None:
    try:
        (prepared,) = TOLD.prepare([Features(values, NOW)])
    except InputError as error:
        str(error).encode()
        return
    assert set(prepared.arrays) == set(TOLD.input_names)
    assert all(np.isfinite(array).all() for array in prepared.arrays.values())


def test_json_schema_of_an_entry_has_the_content() -> None:
    entry = TOLD.schema()["properties"]["history"]["items"]["anyOf"][1]

    assert list(entry["properties"]) == ["id", "time", "title", "price"]
    assert entry["additionalProperties"] is False


def test_a_long_history_costs_more_than_a_row() -> None:
    """So that a batch of rows is bounded by what it holds, and admission by what it is."""
    long = loaded({**HISTORY, "max_length": 512})
    costs = [
        long.prepare([Features({"history": ["A"] * count}, NOW)])[0].cost for count in (0, 1, 10, 100, 512)
    ]

    assert costs[:3] == [1, 1, 1]
    assert 1 < costs[3] < costs[4]
    assert costs[4] >= 512 // VALUES
