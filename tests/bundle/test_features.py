"""Feature objects to ids and numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import feature_objects

from bundle import Features, InputError, ManifestError, Truncation
from bundle.preprocess.features import FeatureFacts, FeaturePreprocessor
from bundle.preprocess.features.schema import FIRST, MISSING, PAD, UNKNOWN, FeatureSchema
from bundle.preprocess.features.words import distinct_prefixes, words

DAY_S = 86_400
NOW = 1_700_000_000.0
SCALE = {"mean": 1.0, "std": 2.0, "clip": 3.0}
FEATURES: list[dict[str, Any]] = [
    {"name": "country", "kind": "category", "vocabulary": ["GB", "DE"]},
    {"name": "tags", "kind": "bag", "vocabulary": ["red", "blue"], "max_length": 3},
    {"name": "title", "kind": "text", "vocabulary": ["lamp", "café"], "max_length": 3},
    {"name": "price", "kind": "number", "log1p": False, **SCALE},
    {"name": "stock", "kind": "number", "log1p": True, **SCALE},
    {"name": "seen", "kind": "time", **SCALE},
    {"name": "history", "kind": "history", "vocabulary": ["A", "B", "C"], "max_length": 4},
]
NAMES = [feature["name"] for feature in FEATURES]


def loaded(
    features: list[dict[str, Any]] = FEATURES, version: int = 1, side: str = "user"
) -> FeaturePreprocessor:
    schema = {"schema_version": version, "side": side, "features": features}
    return FeaturePreprocessor(FeatureSchema.from_bytes(json.dumps(schema).encode()))


ALL = loaded()


def read(now: float | None = NOW, **values: Any) -> tuple[dict[str, list[Any]], FeatureFacts]:
    """Arrays as lists, and the facts."""
    (prepared,) = ALL.prepare([Features(values, now)])
    return {name: array.tolist() for name, array in prepared.arrays.items()}, prepared.facts


def refusal(values: Any, now: float | None = NOW) -> InputError:
    with pytest.raises(InputError) as caught:
        ALL.prepare([Features({}, now), Features(values, now)])
    assert caught.value.index == 1
    return caught.value


# Missing, unknown, wrong: three different things.


def test_missing_values_have_entries_of_their_own_and_are_not_reported() -> None:
    arrays, facts = read()
    assert arrays == {
        "country": [MISSING],
        "tags": [MISSING],
        "title": [MISSING],
        "price": [0.0, 1.0],
        "stock": [0.0, 1.0],
        "seen": [0.0, 1.0],
        "history": [PAD],
        "history_age": [0.0],
    }
    assert facts == FeatureFacts(empty_history=True)


def test_null_is_missing() -> None:
    assert read(**dict.fromkeys(NAMES)) == read()


def test_missing_time_needs_no_now() -> None:
    assert read(now=None) == read()


@pytest.mark.parametrize(
    ("name", "value", "indices"),
    [
        ("country", "FR", [UNKNOWN]),
        ("tags", ["red", "green"], [FIRST, UNKNOWN]),
        ("title", "green lamp", [UNKNOWN, FIRST]),
    ],
)
def test_unknown_value_is_encoded_as_unknown_and_reported(name: str, value: Any, indices: list[int]) -> None:
    arrays, facts = read(**{name: value})
    assert arrays[name] == indices
    assert facts.unknown == (name,)


def test_unknown_fields_are_reported_in_the_order_of_the_schema() -> None:
    _, facts = read(history=["Z"], title="green", country="FR")
    assert facts.unknown == ("country", "title", "history")


WRONG_TYPES = {
    "country": [5.0, True, ["GB"], {}, b"GB"],
    "tags": ["red", 5, {}, [5.0], [None], [["red"]]],
    "title": [5, ["lamp"], {}],
    "price": ["5", True, False, [5], {}],
    "stock": ["5", [5]],
    "seen": [True, [], {}],
    "history": ["A", 5, {}, [5.0], [None], [["A"]], [{"id": 5.0}], [{"id": "A", "time": True}]],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in WRONG_TYPES.items() for v in values])
def test_wrong_type_is_refused(name: str, value: Any) -> None:
    error = refusal({name: value})
    assert error.code == "wrong_type"
    assert error.param.startswith(f"inputs[1].{name}")
    assert "expected" in error.reason


def test_unknown_field_names_the_nearest() -> None:
    error = refusal({"contry": "GB"})
    assert error.code == "unknown_field"
    assert "did you mean 'country'?" in error.reason
    assert "contry" not in error.reason


def test_unknown_field_far_from_all_lists_what_is_taken() -> None:
    error = refusal({"zzzzzzz": 1})
    assert "did you mean" not in error.reason
    assert ", ".join(sorted(NAMES)) in error.reason


@pytest.mark.parametrize("key", [5, None, ("a",), "\ud800", "x" * 1_000_000])
def test_strange_field_names_are_refused(key: Any) -> None:
    error = refusal({key: 1})
    assert error.code == "unknown_field"
    assert len(str(error)) < 500
    str(error).encode()


# Categories, bags and texts.


def test_known_category() -> None:
    assert read(country="DE")[0]["country"] == [FIRST + 1]


def test_category_is_compared_exactly() -> None:
    assert read(country="gb")[1].unknown == ("country",)


@pytest.mark.parametrize(("name", "value"), [("tags", ["red"] * 5), ("title", "lamp " * 5)])
def test_bag_is_cut_to_its_first_entries_and_that_is_told(name: str, value: Any) -> None:
    arrays, facts = read(**{name: value})
    assert arrays[name] == [FIRST] * 3
    assert facts.truncated == (Truncation(name, 5, 3, "words" if name == "title" else "entries"),)


def test_text_is_lower_cased_words_in_unicode_normal_form() -> None:
    composed = read(title="CAFÉ, lamp!")[0]["title"]
    assert composed == read(title="cafe\u0301 LAMP")[0]["title"] == [FIRST + 1, FIRST]


def test_known_pairs_of_neighbouring_words_follow_the_words() -> None:
    """Of the words that are read: the third is cut. A pair that is not known says nothing, and no warning."""
    title = {"name": "title", "kind": "text", "vocabulary": ["red", "lamp", "red lamp"], "max_length": 2}
    (plain,) = loaded([title]).prepare([Features({"title": "Red LAMP red"})])
    (pairs, turned) = loaded([title | {"bigrams": True}]).prepare(
        [Features({"title": "Red LAMP red"}), Features({"title": "lamp red"})]
    )

    assert plain.arrays["title"].tolist() == [FIRST, FIRST + 1]
    assert pairs.arrays["title"].tolist() == [FIRST, FIRST + 1, FIRST + 2]
    assert turned.arrays["title"].tolist() == [FIRST + 1, FIRST]
    assert not turned.facts.unknown


def test_known_beginnings_follow_the_words_of_a_text() -> None:
    """Each once, and none that is a word of the text as well; one that is not known says nothing."""
    vocabulary = ["bag", "22", "22423", "lamps"]
    code = {"name": "code", "kind": "text", "vocabulary": vocabulary, "max_length": 2, "prefixes": [2, 3]}
    known, family, plural, both, cut = loaded([code], version=2).prepare(
        [Features({"code": text}) for text in ("22423", "22999", "Bags", "bags bag", "red lamps bags")]
    )

    assert known.arrays["code"].tolist() == [FIRST + 2, FIRST + 1]
    assert family.arrays["code"].tolist() == [UNKNOWN, FIRST + 1]
    assert not family.facts.unknown  # something is known of it
    assert cut.facts.unknown == ("code",)
    assert plural.arrays["code"].tolist() == [UNKNOWN, FIRST]
    assert both.arrays["code"].tolist() == [UNKNOWN, FIRST]
    assert cut.arrays["code"].tolist() == [UNKNOWN, FIRST + 3]


@given(st.text(alphabet="ab1 ", max_size=30), st.lists(st.integers(1, 4), max_size=3))
def test_beginnings_are_distinct_and_no_words(text: str, lengths: list[int]) -> None:
    read = words(text)
    found = distinct_prefixes(read, lengths)

    assert len(set(found)) == len(found)
    assert not set(found) & set(read)
    assert all(any(word.startswith(one) for word in read) and len(one) in lengths for one in found)


@pytest.mark.parametrize(("name", "value"), [("tags", []), ("title", ""), ("title", " ?! _")])
def test_empty_bag_is_missing(name: str, value: Any) -> None:
    assert read(**{name: value}) == read()


# Numbers.


@pytest.mark.parametrize(
    ("value", "scaled"), [(1, 0.0), (2.0, 0.5), (-3, -2.0), (1e308, 3.0), (-1e308, -3.0), (10**30, 3.0)]
)
def test_number_is_standardised_and_clipped(value: float, scaled: float) -> None:
    assert read(price=value)[0]["price"] == [scaled, 0.0]


def test_log1p_keeps_the_sign() -> None:
    up, down = (read(stock=value)[0]["stock"][0] for value in (3, -3))
    assert up == pytest.approx((math.log1p(3) - 1) / 2)
    assert down == pytest.approx((-math.log1p(3) - 1) / 2)


NOT_FINITE = [math.nan, math.inf, -math.inf, json.loads("1e999"), 10**400, -(10**400)]


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize("name", ["price", "stock", "seen"])
def test_number_that_is_not_finite_is_refused(name: str, value: Any) -> None:
    assert refusal({name: value}).code == "not_finite"


# Times.

MOMENTS = ["2023-11-13T22:13:20Z", "2023-11-13T22:13:20", "2023-11-14T00:13:20+02:00", NOW - DAY_S]


@pytest.mark.parametrize("moment", MOMENTS)
def test_time_with_zone_without_zone_and_as_seconds_mean_the_same(moment: Any) -> None:
    assert read(seen=moment)[0]["seen"] == [pytest.approx((math.log1p(1) - 1) / 2), 0.0]


def test_time_to_come_has_no_age() -> None:
    assert read(seen=NOW + DAY_S)[0]["seen"] == read(seen=NOW)[0]["seen"] == [-0.5, 0.0]


def test_time_without_now_is_refused() -> None:
    error = refusal({"seen": "2023-11-13"}, now=None)
    assert error.code == "missing_now"
    assert '"now"' in error.reason


@pytest.mark.parametrize("value", ["", "yesterday", "2023-13-01", "0000-01-01", "\ud800", "9" * 100_000])
def test_text_that_is_no_time_is_refused_with_an_example(value: str) -> None:
    error = refusal({"seen": value})
    assert error.code == "wrong_type"
    assert "2011-11-02T09:30:00Z" in error.reason


@pytest.mark.parametrize("value", [1_700_000_000_000, -1e12, 1e300])
def test_time_beyond_the_calendar_is_refused_and_milliseconds_are_suspected(value: float) -> None:
    for values in ({"seen": value}, {"history": [{"id": "A", "time": value}]}):
        error = refusal(values)
        assert error.code == "out_of_range"
        assert "milliseconds" in error.reason


# Batches.


def test_collate_pads_histories_with_pad_and_age_zero() -> None:
    batch = ALL.prepare([Features({"history": ["A"]}), Features({"history": ["A", "B", "C"]})])
    arrays = ALL.collate(batch)
    assert arrays["history"].tolist() == [[FIRST, PAD, PAD], [FIRST, FIRST + 1, FIRST + 2]]
    assert arrays["history_age"].shape == (2, 3)
    assert arrays["price"].shape == (2, 2)
    assert arrays["country"].shape == (2, 1)


# Properties.


@given(values=feature_objects(NAMES))
def test_prepare_is_total(values: dict[Any, Any]) -> None:
    """Any object gives finite arrays, or an InputError; never a warning of numpy either."""
    try:
        (prepared,) = ALL.prepare([Features(values, NOW)])
    except InputError as error:
        str(error).encode()
        return
    assert set(prepared.arrays) == set(ALL.input_names)
    assert all(np.isfinite(array).all() for array in prepared.arrays.values())
    (again,) = loaded().prepare([Features(values, NOW)])
    assert all(np.array_equal(again.arrays[name], array) for name, array in prepared.arrays.items())
    assert again.facts == prepared.facts


SECRET = "secret-5551234"
ECHOES: list[dict[Any, Any]] = [
    {SECRET: 1},
    {"seen": SECRET},
    {"price": SECRET},
    {"price": {SECRET: SECRET}},
    {"tags": SECRET},
    {"tags": [[SECRET]]},
    {"history": SECRET},
    {"history": [{SECRET: 1}]},
    {"history": [{"id": [SECRET]}]},
    {"history": [{"id": "A", "time": SECRET}]},
]


@pytest.mark.parametrize("values", ECHOES, ids=str)
def test_message_never_repeats_the_value(values: dict[Any, Any]) -> None:
    assert SECRET not in str(refusal(values))


def test_a_list_over_the_limit_is_checked_to_its_end() -> None:
    """The newest entries may stand anywhere, so what stands last must be right, too."""
    assert refusal({"history": [*["A"] * 10_000, 5.0]}).path == ".history[10000]"


# features.json.


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"features": []}, "features"),
        ({"features": FEATURES + FEATURES[:1]}, "same name"),
        ({"features": [*FEATURES, FEATURES[0] | {"name": "history_age"}]}, "history's ages"),
        ({"features": [FEATURES[0] | {"vocabulary": ["GB", "GB"]}]}, "twice"),
        ({"features": [FEATURES[0] | {"kind": "image"}]}, "kind"),
        ({"features": [FEATURES[0] | {"name": "Country"}]}, "name"),
        ({"features": [FEATURES[0] | {"extra": 1}]}, "extra"),
        ({"features": [FEATURES[3] | {"std": 0.0}]}, "std"),
        ({"features": [FEATURES[3] | {"mean": math.nan}]}, "mean"),
        ({"features": [FEATURES[3] | {"clip": math.inf}]}, "clip"),
        ({"features": [FEATURES[6] | {"max_length": 0}]}, "max_length"),
        ({"features": [FEATURES[6], FEATURES[6] | {"name": "past"}]}, "two histories"),
        ({"features": [FEATURES[6] | {"content": [FEATURES[3] | {"name": "time"}]}]}, "id or time"),
        ({"features": [FEATURES[6] | {"content": [FEATURES[3], FEATURES[3]]}]}, "same name"),
        ({"features": [FEATURES[6] | {"content": [FEATURES[6]]}]}, "content"),
        ({"schema_version": 3}, "schema_version"),
        ({"features": [FEATURES[0] | {"uppercase": True}]}, "schema_version 2"),
        (
            {"features": [{"name": "t", "kind": "text", "vocabulary": [], "max_length": 1, "prefixes": [2]}]},
            "version 2",
        ),
        ({"side": "shop"}, "side"),
    ],
)
def test_malformed_schema_is_refused_with_the_place(changes: dict[str, Any], reason: str) -> None:
    schema = {"schema_version": 1, "side": "user", "features": FEATURES} | changes
    with pytest.raises(ManifestError, match=reason):
        FeatureSchema.from_bytes(json.dumps(schema).encode())


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"[" * 100_000])
def test_file_that_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"features\.json"):
        FeatureSchema.from_bytes(content)


def test_schema_round_trip() -> None:
    schema = FeatureSchema.model_validate({"schema_version": 1, "side": "user", "features": FEATURES})
    assert FeatureSchema.from_bytes(schema.to_bytes()) == schema


def test_json_schema_names_every_feature_and_its_limits() -> None:
    properties = ALL.schema()["properties"]
    assert list(properties) == NAMES
    assert "3 items are known; the newest 4 entries are read" in properties["history"]["description"]
    assert ALL.schema()["additionalProperties"] is False


# Ids: what a vocabulary names, a database may number.

NUMBERED = loaded(
    [
        {"name": "shop", "kind": "category", "vocabulary": ["1001", "-7", "0", "true", "1.0"]},
        {"name": "tags", "kind": "bag", "vocabulary": ["3", "4"], "max_length": 3},
        {"name": "title", "kind": "text", "vocabulary": ["300"], "max_length": 3},
        {"name": "history", "kind": "history", "vocabulary": ["1405", "9"], "max_length": 4},
    ]
)


def arrays_of(**values: Any) -> dict[str, list[Any]]:
    (prepared,) = NUMBERED.prepare([Features(values, NOW)])
    return {name: array.tolist() for name, array in prepared.arrays.items()}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ({"shop": 1001}, {"shop": "1001"}),
        ({"shop": -7}, {"shop": "-7"}),
        ({"shop": 0}, {"shop": "0"}),
        ({"tags": [4, "3", 5]}, {"tags": ["4", "3", "5"]}),
        ({"history": [1405, "9", 8]}, {"history": ["1405", "9", "8"]}),
        ({"history": [{"id": 1405, "time": 5}]}, {"history": [{"id": "1405", "time": 5}]}),
    ],
)
def test_an_integer_is_an_id_by_its_decimal_text(number: dict[str, Any], text: dict[str, Any]) -> None:
    assert arrays_of(**number) == arrays_of(**text)
    assert arrays_of(**number) != arrays_of()


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"shop": 1001.0}, ".shop"),
        ({"shop": 1e3}, ".shop"),
        ({"shop": True}, ".shop"),
        ({"shop": [1001]}, ".shop"),
        ({"tags": [3, 4.0]}, ".tags[1]"),
        ({"tags": [False]}, ".tags[0]"),
        ({"tags": 3}, ".tags"),
        ({"title": 300}, ".title"),
        ({"history": [1405.0]}, ".history[0]"),
        ({"history": ["9", True]}, ".history[1]"),
        ({"history": [{"id": 1405.5}]}, ".history[0].id"),
        ({"history": [{"id": None}]}, ".history[0].id"),
        ({"history": 1405}, ".history"),
    ],
)
def test_no_other_number_is_one(values: dict[str, Any], path: str) -> None:
    with pytest.raises(InputError) as caught:
        NUMBERED.prepare([Features(values, NOW)])

    assert (caught.value.code, caught.value.path) == ("wrong_type", path)


def test_the_schema_says_so() -> None:
    properties = NUMBERED.schema()["properties"]
    entry, record = properties["history"]["items"]["anyOf"]

    assert properties["shop"]["type"] == ["string", "integer", "null"]
    assert properties["tags"]["items"]["type"] == ["string", "integer"]
    assert properties["title"]["type"] == ["string", "null"]
    assert entry["type"] == record["properties"]["id"]["type"] == ["string", "integer"]
    assert "decimal text" in properties["shop"]["description"]


@pytest.mark.parametrize(
    ("values", "path", "meant"),
    [
        ({"contry": "GB"}, "", "country"),
        ({"Country": "GB"}, "", "country"),
        ({"history": [{"id": "A", "tme": 5}]}, ".history[0]", "time"),
        ({"history": ["A", {"ID": "A"}]}, ".history[1]", "id"),
    ],
)
def test_a_slip_in_a_field_is_answered_with_the_nearest(
    values: dict[str, Any], path: str, meant: str
) -> None:
    error = refusal(values)

    assert (error.code, error.path) == ("unknown_field", path)
    assert f"did you mean {meant!r}?" in error.reason


def test_an_item_may_be_named_by_its_id_where_the_model_knows_ids() -> None:
    def of(side: str, **changes: Any) -> FeaturePreprocessor:
        features = [{"name": "id", "kind": "category", "vocabulary": ["7"]} | changes]
        schema = {"schema_version": 1, "side": side, "features": features}
        return FeaturePreprocessor(FeatureSchema.from_bytes(json.dumps(schema).encode()))

    items = of("item")
    assert [items.record_of(one) for one in ("7", 7)] == [{"id": "7"}, {"id": 7}]
    for other in ({"id": "7"}, 7.0, True, None, ["7"]):
        assert items.record_of(other) is other
    assert of("user").record_of("7") == "7"
    assert of("item", name="code").record_of("7") == "7"


# Schema version 2: what two entries are the same, and what counts once.

TWO = loaded(
    [
        {"name": "id", "kind": "category", "vocabulary": ["85123A", "22423"], "uppercase": True},
        {"name": "country", "kind": "category", "vocabulary": ["GB", "DE"]},
        {"name": "tags", "kind": "bag", "vocabulary": ["red", "blue"], "max_length": 3},
        {"name": "title", "kind": "text", "vocabulary": ["lamp", "red"], "max_length": 3},
        {"name": "price", "kind": "number", "log1p": False, **SCALE},
    ],
    version=2,
    side="item",
)


def two(**values: Any) -> tuple[dict[str, list[Any]], FeatureFacts]:
    (prepared,) = TWO.prepare([Features(values, NOW)])
    return {name: array.tolist() for name, array in prepared.arrays.items()}, prepared.facts


@pytest.mark.parametrize(
    ("odd", "plain"),
    [
        ({"id": " 85123a\n"}, {"id": "85123A"}),
        ({"id": "85123\u0101"}, {"id": "85123\u0100"}),
        ({"country": "\tGB "}, {"country": "GB"}),
        ({"tags": [" red", "", "blue ", "red"]}, {"tags": ["red", "blue"]}),
        ({"title": "Lamp LAMP red lamp"}, {"title": "lamp red"}),
        ({"id": ""}, {}),
        ({"country": " "}, {"country": None}),
        ({"tags": ["", " "]}, {"tags": []}),
    ],
)
def test_two_ways_to_say_the_same_are_the_same(odd: dict[str, Any], plain: dict[str, Any]) -> None:
    assert two(**odd) == two(**plain)


@pytest.mark.parametrize("country", ["gb", "G B"])
def test_case_matters_where_the_schema_does_not_say_otherwise(country: str) -> None:
    assert two(country=country)[1].unknown == ("country",)


def test_the_limit_counts_different_words() -> None:
    arrays, facts = two(title="lamp " * 50 + "red shade oak")

    assert arrays["title"] == [FIRST, FIRST + 1, UNKNOWN]
    assert facts.truncated == (Truncation("title", 4, 3, "words"),)


def test_pairs_are_those_of_the_text_as_it_stands_each_once_up_to_the_cut() -> None:
    vocabulary = ["bag", "lunch bag", "bag lunch", "bag red", "red oak"]
    title = {"name": "title", "kind": "text", "vocabulary": vocabulary, "max_length": 3, "bigrams": True}
    text = "lunch bag lunch bag red oak lunch bag"
    (prepared,) = loaded([title], version=2).prepare([Features({"title": text})])

    # lunch, bag, red; oak is the fourth word, and what follows is not read.
    assert prepared.arrays["title"].tolist() == [UNKNOWN, FIRST, UNKNOWN, FIRST + 1, FIRST + 2, FIRST + 3]


def test_an_encoder_of_version_1_reads_as_it_was_trained() -> None:
    assert read(country=" GB")[1].unknown == ("country",)
    assert read(country="")[1].unknown == ("country",)
    assert read(title="lamp lamp")[0]["title"] == [FIRST, FIRST]
    assert read(tags=["red", "red"])[0]["tags"] == [FIRST, FIRST]


@pytest.mark.parametrize(
    "values", [{}, {"id": None}, {"id": "99"}, {"title": "?!"}, {"title": "oak", "tags": []}]
)
def test_an_item_of_which_nothing_is_known_is_told(values: dict[str, Any]) -> None:
    assert two(**values)[1].empty_item


@pytest.mark.parametrize("values", [{"id": 22423}, {"title": "oak lamp"}, {"price": 0}, {"tags": ["red"]}])
def test_an_item_of_which_something_is_known_is_not(values: dict[str, Any]) -> None:
    assert not two(**values)[1].empty_item


def test_a_user_is_no_empty_item() -> None:
    assert not read()[1].empty_item


def test_the_schema_says_that_case_means_nothing() -> None:
    properties = TWO.schema()["properties"]

    assert "in any case of letters" in properties["id"]["description"]
    assert "in any case of letters" not in properties["country"]["description"]
