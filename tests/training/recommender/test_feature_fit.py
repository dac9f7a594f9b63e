from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.preprocess.features import FeaturePreprocessor, Features
from bundle.preprocess.features.schema import FIRST
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig
from training.recommender.data.features import by_count, fit_schema

NOW = 1_000_000.0


def fit(feature: FeatureConfig, values: list[Any], **changes: Any) -> Any:
    records = [{} if value is None else {feature.name: value} for value in values]
    arguments: dict[str, Any] = {"items": ["i2", "i1"], "now": NOW} | changes
    return fit_schema("item", [feature], records, **arguments).features[0]


def test_vocabulary_is_by_count_then_name() -> None:
    spec = fit(FeatureConfig(name="c", kind="category"), ["b", "a", "c", "c", None])

    assert spec.vocabulary == ["c", "a", "b"]


def test_rare_entries_are_left_out_and_the_rest_is_cut() -> None:
    feature = FeatureConfig(name="c", kind="category", min_count=2, max_size=1)

    assert fit(feature, ["a", "b", "b", "c", "c", "c"]).vocabulary == ["c"]


def test_words_of_texts_and_entries_of_bags_are_counted() -> None:
    text = fit(FeatureConfig(name="t", kind="text", max_length=3), ["Red lamp", "red-hot"])
    bag = fit(FeatureConfig(name="b", kind="bag"), [["Red", "lamp"], ["Red"]])

    assert (text.vocabulary, text.max_length) == (["red", "hot", "lamp"], 3)
    assert bag.vocabulary == ["Red", "lamp"]


def test_pairs_of_words_are_counted_where_they_are_declared() -> None:
    feature = FeatureConfig(name="t", kind="text", bigrams=True, min_count=2)
    spec = fit(feature, ["red lamp", "Red lamp, small", "lamp red"])

    assert spec.bigrams
    assert spec.vocabulary == ["lamp", "red", "red lamp"]


def test_beginnings_of_words_are_counted_where_they_are_declared() -> None:
    feature = FeatureConfig(name="t", kind="text", prefixes=[2, 3], min_count=2)
    spec = fit(feature, ["22423", "22424 22", "85123A"])

    assert spec.prefixes == [2, 3]
    assert spec.vocabulary == ["22", "224"]


def test_a_word_and_an_entry_count_once_a_record() -> None:
    text = fit(
        FeatureConfig(name="t", kind="text", bigrams=True, min_count=2), ["lamp lamp lamp", "lamp red"]
    )
    bag = fit(FeatureConfig(name="b", kind="bag", min_count=2), [["red", "red"], ["lamp"], ["lamp"]])

    assert (text.vocabulary, bag.vocabulary) == (["lamp"], ["lamp"])


@pytest.mark.parametrize(
    ("kind", "values"), [("category", ["gb", "GB", "De"]), ("bag", [["gb", "GB"], ["De", "gb"]])]
)
def test_the_case_of_entries_is_folded_where_that_is_declared(kind: Any, values: list[Any]) -> None:
    feature = FeatureConfig(name="x", kind=kind, uppercase=True)
    schema = fit_schema("user", [feature], [{"x": value} for value in values], items=[], now=NOW)
    sent = " gB" if kind == "category" else [" gB", "Gb"]

    (prepared,) = FeaturePreprocessor(schema).prepare([Features({"x": sent})])
    assert fit(feature, values).vocabulary == ["GB", "DE"]
    assert prepared.arrays["x"].tolist() == [FIRST]


@pytest.mark.parametrize("kind", ["category", "history"])
def test_serving_folds_the_case_of_ids_where_training_did(kind: Any) -> None:
    feature = FeatureConfig(name="items", kind=kind)
    schema = fit_schema(
        "user", [feature], [], items=["85123A"], id_name="items", uppercase_items=True, now=NOW
    )
    value = "85123a " if kind == "category" else [" 85123a", "85123A"]

    (prepared,) = FeaturePreprocessor(schema).prepare([Features({"items": value})])
    assert schema.schema_version == 2
    assert not prepared.facts.unknown
    assert prepared.arrays["items"].tolist() == [FIRST]


def test_id_and_history_take_the_known_items_in_their_order() -> None:
    history = fit(FeatureConfig(name="history", kind="history", max_length=7), [])
    identity = fit(FeatureConfig(name="id", kind="category"), [], id_name="id")

    assert (history.vocabulary, history.max_length) == (["i2", "i1"], 7)
    assert identity.vocabulary == ["i2", "i1"]


@pytest.mark.parametrize(
    "feature",
    [
        FeatureConfig(name="x", kind="number"),
        FeatureConfig(name="x", kind="number", log1p=True),
        FeatureConfig(name="x", kind="time"),
    ],
)
def test_prepared_training_values_have_mean_0_and_deviation_1(feature: FeatureConfig) -> None:
    """The fit is of what serving computes, not of something like it."""
    values = [1.0, 5.0, 900_000.0, 20.0, 400.0]
    schema = fit_schema("item", [feature], [{"x": value} for value in values], items=[], now=NOW)

    prepared = FeaturePreprocessor(schema).prepare([Features({"x": value}, NOW) for value in values])
    scaled = np.array([one.arrays["x"][0] for one in prepared])

    assert scaled.mean() == pytest.approx(0, abs=1e-6)
    assert scaled.std() == pytest.approx(1, abs=1e-6)


def test_constant_number_stands_at_0() -> None:
    assert fit(FeatureConfig(name="x", kind="number"), [3.0, 3.0]).std == 1.0


def test_feature_without_a_value_is_refused_by_column() -> None:
    with pytest.raises(ConfigError, match="feature 'colour': column 'Colour' is always empty"):
        fit(FeatureConfig(name="colour", kind="category", column="Colour"), [None])


@given(st.lists(st.text(max_size=3)), st.randoms())
def test_order_of_the_data_does_not_matter(entries: list[str], random: Any) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)

    assert by_count(entries) == by_count(shuffled)
    assert set(by_count(entries)) == set(entries)
