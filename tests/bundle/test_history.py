"""Histories of ids and of records to ids, ages and the content of items never seen."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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


def loaded(feature: dict[str, Any], version: int = 1) -> FeaturePreprocessor:
    schema = {"schema_version": version, "side": "user", "features": [feature]}
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
    arrays, facts = read(history=history)
    assert arrays["history_age"] == [0.0, 0.0, 2.0, 2.0]
    assert facts == FeatureFacts(undated_entries=(0, 3))


def test_entries_without_a_time_before_all_others_are_as_old_as_the_first_that_has_one() -> None:
    """Oldest first: the entry without a time is not the newest."""
    history = ["A", {"id": "B", "time": DAY_S}, {"id": "C", "time": 3 * DAY_S}]
    arrays, facts = read(history=history)
    assert (arrays["history"], arrays["history_age"]) == ([FIRST + 2, FIRST, FIRST + 1], [0.0, 2.0, 2.0])
    assert facts.undated_entries == (0,)


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


@pytest.mark.parametrize("order", [lambda days: days, lambda days: -days, lambda days: days * 7 % 11])
def test_the_newest_entries_are_read_in_whichever_order_they_come(order: Any) -> None:
    """Of ten entries the four newest, though it is only the times that say which they are."""
    items = ["A", "B", "C"]
    dated = [{"id": items[days % 3], "time": NOW - days * DAY_S} for days in range(10)]
    arrays, facts = read(history=sorted(dated, key=lambda entry: order((NOW - entry["time"]) / DAY_S)))
    assert arrays["history"] == [FIRST, FIRST + 1, FIRST + 2, FIRST]
    assert arrays["history_age"] == [0.0, 1.0, 2.0, 3.0]
    assert facts == FeatureFacts(truncated=(Truncation("history", 10, 4, "entries"),))


def test_places_are_those_of_the_list_as_it_was_sent() -> None:
    history = [{"id": item, "time": days * DAY_S} for days, item in enumerate(["Z", "A", "Y", "B"])]
    assert read(history=history)[1].unknown_entries == (0, 2)


def test_a_date_to_come_does_not_make_the_others_old_and_is_told() -> None:
    """It is as old as the newest of the others: 2099 is a slip, and so is the end of a calendar."""
    history = [{"id": "A", "time": NOW}, {"id": "B", "time": NOW - 2 * DAY_S}]
    for slip in ("2099-01-01", "9999-12-31T23:59:59Z", NOW + 1.1 * DAY_S):
        arrays, facts = read(history=[*history, {"id": "C", "time": slip}, "A"])
        assert dict(zip(arrays["history"], arrays["history_age"], strict=True))[FIRST + 1] == 2.0
        assert arrays["history_age"] == [0.0, 0.0, 0.0, 2.0]
        assert facts == FeatureFacts(future_entries=(2,), undated_entries=(3,))


def test_clocks_and_time_zones_may_differ_by_a_day() -> None:
    history = [{"id": "A", "time": NOW + 0.9 * DAY_S}, {"id": "B", "time": NOW - 0.1 * DAY_S}]
    arrays, facts = read(history=history)
    assert arrays["history_age"] == [0.0, 1.0]
    assert facts.warnings == {}


def test_dates_that_are_all_to_come_say_nothing_and_are_told() -> None:
    history = [{"id": "A", "time": NOW + 9 * DAY_S}, {"id": "B", "time": NOW + 5 * DAY_S}]
    arrays, facts = read(history=history)
    assert arrays["history_age"] == [0.0, 0.0]
    assert facts.future_entries == (0, 1)


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


# Schema version 2: an item counts once.

ONCE = loaded(HISTORY | {"uppercase": True, "max_length": 2}, version=2)


def once(*history: Any) -> tuple[dict[str, list[Any]], FeatureFacts]:
    (prepared,) = ONCE.prepare([Features({"history": list(history)}, NOW)])
    return {name: array.tolist() for name, array in prepared.arrays.items()}, prepared.facts


def test_an_item_counts_once_as_old_as_its_oldest_entry() -> None:
    """As in training, which knows of each item the first purchase only."""
    ages = {"A": 0, "B": 1, "a ": 5}
    arrays, facts = once(*({"id": item, "time": NOW - days * DAY_S} for item, days in ages.items()))
    assert arrays == {"history": [FIRST + 1, FIRST], "history_age": [1.0, 5.0]}
    assert facts == FeatureFacts(repeated_entries=1)


def test_repeats_change_nothing_of_a_history_without_times() -> None:
    arrays, facts = once(*["A"] * 20, "B", "A")
    assert (arrays, facts) == (once("B", "A")[0], FeatureFacts(repeated_entries=20))


def test_the_limit_counts_different_items_that_are_known() -> None:
    arrays, facts = once("A", "A", "Z", "B", "C", "B")
    assert arrays["history"] == [FIRST, FIRST + 2]
    assert facts == FeatureFacts(
        truncated=(Truncation("history", 3, 2, "items"),),
        unknown=("history",),
        unknown_entries=(2,),
        repeated_entries=2,
    )


@pytest.mark.parametrize("name", [" a", "A\n", {"id": "a", "time": NOW}])
def test_blanks_and_the_case_of_ids_mean_nothing(name: Any) -> None:
    assert once(name) == once("A")


@pytest.mark.parametrize("name", ["", "  ", {"id": ""}])
def test_an_empty_id_is_skipped_and_told(name: Any) -> None:
    assert once(name, "A") == (
        once("A")[0], FeatureFacts(unknown=("history",), unknown_entries=(0,))
    )  # fmt: skip


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
    assert facts == FeatureFacts(
        unknown=("history",), new_entries=(2,), unknown_entries=(0,), undated_entries=(0, 3)
    )


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


TOLD_ONCE = loaded(HISTORY | {"content": CONTENT, "max_length": 3}, version=2)


def test_a_new_item_counts_once_by_its_id_and_without_one_it_is_like_no_other() -> None:
    new = {"id": "Z ", "title": "lamp"}
    history = [
        new,
        {"id": "Z", "title": "café"},
        {"title": "lamp"},
        {"title": "lamp"},
        {"id": "Y", "title": " "},
    ]
    (prepared,) = TOLD_ONCE.prepare([Features({"history": history}, NOW)])

    assert prepared.arrays["history"].tolist() == [UNKNOWN] * 3
    assert prepared.arrays["history_new_title"].tolist() == [[FIRST + 1], [FIRST], [FIRST]]
    assert prepared.facts == FeatureFacts(
        unknown=("history",), new_entries=(1, 2, 3), unknown_entries=(4,), repeated_entries=1
    )


ENTRIES = st.fixed_dictionaries(
    {"id": st.sampled_from(["A", "B", "C", "Z", " A"])},
    optional={"time": st.integers(-40, 40).map(lambda days: NOW + days * DAY_S), "title": st.just("lamp")},
)


@given(history=st.lists(ENTRIES, max_size=8))
def test_every_entry_is_read_or_told(history: list[dict[str, Any]]) -> None:
    (prepared,) = TOLD_ONCE.prepare([Features({"history": history}, NOW)])
    facts, ages = prepared.facts, prepared.arrays["history_age"]
    distinct = len(history) - len(facts.unknown_entries) - facts.repeated_entries
    cut = distinct - facts.truncated[0].limit if facts.truncated else 0

    assert len(ages) == max(1, distinct - cut)
    assert facts.empty_history == (distinct == 0)
    assert (ages >= 0).all()
    assert (np.diff(ages) >= 0).all()
    items = prepared.arrays["history"]
    assert len(set(items[items >= FIRST])) == (items >= FIRST).sum()


@given(history=st.lists(ENTRIES, max_size=8).filter(lambda one: all("time" in entry for entry in one)))
def test_the_order_of_dated_entries_means_nothing(history: list[dict[str, Any]]) -> None:
    """As far as their times tell them apart."""
    history = list({entry["time"]: entry for entry in history if entry["time"] <= NOW}.values())
    there, back = TOLD_ONCE.prepare([Features({"history": one}, NOW) for one in (history, history[::-1])])
    for name, array in there.arrays.items():
        if name != "history_new":
            assert np.array_equal(np.sort(array, axis=0), np.sort(back.arrays[name], axis=0))


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
