"""Behaviour that every kind of encoder shares; a new kind is one more row of EXAMPLES."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pictures
import pytest
import sounds
import strategies
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import KINDS, Encoder, InputError, Prepared, Store, Text, publish

SAME = 1e-6  # float32 sums in another order

# Bundle, and inputs that it takes, as they stand in a request.
EXAMPLES: dict[str, list[Any]] = {
    "text": ["hello world", "the cat sat on the mat", "dog"],
    "shop-user": tiny.USERS,
    "shop-item": tiny.ITEM_INPUTS,
    "image": [pictures.image_of(pictures.drawing(), kind).to_json() for kind in ("PNG", "JPEG")],
    "audio": [sounds.sound_of(sounds.noise(7, s)).to_json() for s in (0.05, 0.31)],
    "adapter": [[0.5] * tiny.DIM, [-1.25, *[3.0] * (tiny.DIM - 1)], [0.0, *[1.0] * (tiny.DIM - 1)]],
}
# In JSON Schema; of all others an object.
TYPES = {"text": "string", "adapter": "array", "image": None, "audio": None}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundles and an adapter, one of every kind at least."""
    models = tmp_path_factory.mktemp("kinds")
    text = tiny.publish_all(models)[0]
    publish(models, [tiny.adapter_draft("adapter", text, text)])
    publish(models, [tiny.image_draft()])
    publish(models, [tiny.audio_draft()])
    return models


@pytest.fixture(scope="module", params=EXAMPLES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def encoder(published: Path, name: str) -> Encoder:
    return Store(published).load(name)


def prepare(encoder: Encoder, values: list[Any]) -> list[Prepared]:
    return encoder.prepare([encoder.preprocessor.from_json(value, tiny.NOW) for value in values], "end")


def test_every_kind_has_an_example(published: Path) -> None:
    kinds = {Store(published).manifest(name, "1").kind for name in EXAMPLES}
    assert kinds == set(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_kind_is_complete(kind: Any) -> None:
    assert kind.noun
    assert kind.version >= 1
    assert KINDS[kind.name] is kind
    parameters = inspect.signature(kind.load).parameters.values()
    assert len([one for one in parameters if one.kind is not one.KEYWORD_ONLY]) == 3


def test_prepare_keeps_count_and_order(encoder: Encoder, name: str) -> None:
    together = prepare(encoder, EXAMPLES[name])
    for value, one in zip(EXAMPLES[name], together, strict=True):
        (alone,) = prepare(encoder, [value])
        for key in encoder.preprocessor.input_names:
            assert key not in one.arrays or np.array_equal(one.arrays[key], alone.arrays[key])
        assert (one.cost, one.facts) == (alone.cost, alone.facts)
        assert one.cost >= 1


def test_prepare_of_nothing_is_nothing(encoder: Encoder) -> None:
    assert encoder.prepare([]) == []


def test_collate_gives_the_graphs_inputs_with_one_row_each(encoder: Encoder, name: str) -> None:
    batch = prepare(encoder, EXAMPLES[name])
    arrays = encoder.preprocessor.collate(batch)
    assert tuple(arrays) == encoder.preprocessor.input_names
    rows = {len(array) for array in arrays.values()}
    assert len(batch) in rows if encoder.preprocessor.layouts[0].is_packed else rows == {len(batch)}
    assert {array.dtype.name for array in arrays.values()} <= {"uint8", "int64", "float32"}


def test_json_round_trip(encoder: Encoder, name: str) -> None:
    for value in EXAMPLES[name]:
        item = encoder.preprocessor.from_json(value, tiny.NOW)
        assert item.to_json() == value


def test_schema_is_json_schema_of_the_model(encoder: Encoder, name: str) -> None:
    schema = encoder.schema()
    assert schema["title"] == name
    assert schema.get("type") == TYPES.get(name, "object")
    assert json.loads(json.dumps(schema)) == schema


def test_examples_are_inputs_that_the_encoder_takes(encoder: Encoder) -> None:
    assert 1 <= len(encoder.examples) <= 3
    assert encoder.run(prepare(encoder, encoder.examples)).shape == (len(encoder.examples), tiny.DIM)


def test_a_value_of_another_kind_is_refused(encoder: Encoder, name: str) -> None:
    """As it stands in a request: there is no input of the wrong type."""
    with pytest.raises(InputError) as caught:
        encoder.read([EXAMPLES[name][0], {} if name == "text" else "a text"])
    assert (caught.value.index, caught.value.code) == (1, "wrong_kind")


def test_an_input_of_another_kind_is_refused(encoder: Encoder, name: str) -> None:
    other: Any = tiny.Features({}) if name == "text" else Text("hello")
    with pytest.raises(InputError, match=r"inputs\[0\]") as caught:
        encoder.prepare([other])
    assert caught.value.code == "wrong_kind"


@pytest.mark.parametrize("value", [None, 3, True, ["text"], {}, b"bytes"])
def test_a_text_that_is_none_cannot_exist(value: Any) -> None:
    with pytest.raises(InputError, match="texts"):
        Text(value)


@pytest.mark.parametrize("value", [None, 3, "text", ["a"]])
def test_features_that_are_no_object_cannot_exist(value: Any) -> None:
    with pytest.raises(InputError, match="objects of features"):
        tiny.Features(value)


@pytest.mark.parametrize("kind", EXAMPLES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_row_does_not_depend_on_its_batch(published: Path, kind: str, data: st.DataObject) -> None:
    """Batch equals single, in any order and any company."""
    encoder = encoder_of(published, kind)
    batch = prepare(encoder, data.draw(st.lists(strategies.INPUTS[kind], min_size=1, max_size=8)))
    order = data.draw(st.permutations(range(len(batch))))
    together = encoder.run(batch)
    assert together.shape == (len(batch), tiny.DIM)
    assert together.dtype == np.float32
    alone = np.concatenate([encoder.run([one]) for one in batch])
    np.testing.assert_allclose(together, alone, rtol=SAME, atol=SAME)
    shuffled = encoder.run([batch[row] for row in order])
    np.testing.assert_allclose(shuffled, together[list(order)], rtol=SAME, atol=SAME)


_ENCODERS: dict[tuple[Path, str], Encoder] = {}


def encoder_of(published: Path, name: str) -> Encoder:
    """Loaded once: hypothesis calls a test many times."""
    return _ENCODERS.setdefault((published, name), Store(published).load(name))
