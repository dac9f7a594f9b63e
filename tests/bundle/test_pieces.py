"""Inputs taken apart: what every kind's pieces hold to, and where each kind's are."""

from __future__ import annotations

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

from bundle import Encoder, InputError, Store, Text, publish
from bundle.preprocess import TakesApart
from bundle.preprocess.base import runs
from bundle.preprocess.features import Features
from bundle.preprocess.image import Image
from bundle.preprocess.text.pieces import pieces_of

ANYTHING = {
    "text": strategies.ANY_TEXT | strategies.SENTENCES,
    "shop-user": strategies.feature_objects(["history", "country"]) | strategies.USERS,
}
EXAMPLES: dict[str, list[Any]] = {
    "image": [pictures.image_of(pictures.drawing(), kind).to_json() for kind in ("PNG", "JPEG")],
    "audio": [sounds.sound_of(sounds.noise(7, s)).to_json() for s in (0.05, 0.31)],
    "shop-user": tiny.USERS,
    "shop-item": tiny.ITEM_INPUTS,
    "text": ["hello world", "the cat sat on the mat", "dog"],
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    models: Path = tmp_path_factory.mktemp("pieces")
    text = tiny.publish_all(models)[0]
    publish(models, [tiny.image_draft()])
    publish(models, [tiny.audio_draft()])
    publish(models, [tiny.adapter_draft("adapter", text, text)])
    return {name: Store(models).load(name) for name in (*EXAMPLES, "adapter")}


def check(encoder: Encoder, value: Any, most: int) -> None:
    """What holds for the pieces of every input."""
    preprocessor = encoder.preprocessor
    assert isinstance(preprocessor, TakesApart)
    try:
        item = preprocessor.from_json(value, tiny.NOW)
        (whole,) = preprocessor.prepare([item], "end")
        pieces = preprocessor.pieces(item, most, "end")
    except InputError:
        return
    count = len(pieces)
    assert 1 <= count <= most
    assert len({repr(place) for place in pieces.places}) == count
    assert pieces.merged == 0 or pieces.merged > count
    kept = pieces.keep(np.ones(count, np.bool_))
    assert kept is not None
    (again,) = preprocessor.prepare([kept], "end")
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    for at in range(count):
        alone = pieces.keep(np.arange(count) == at)
        assert alone is not None
        assert preprocessor.prepare([alone], "end")
    nothing = pieces.keep(np.zeros(count, np.bool_))
    assert nothing is None or preprocessor.prepare([nothing], "end")


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("most", [1, 2, 5, 32])
def test_pieces_put_together_are_the_input(encoders: dict[str, Encoder], name: str, most: int) -> None:
    for value in EXAMPLES[name]:
        check(encoders[name], value, most)


@pytest.mark.parametrize("name", ANYTHING)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), most=st.integers(1, 12))
def test_whatever_comes_is_taken_apart_or_refused(
    encoders: dict[str, Encoder], name: str, data: st.DataObject, most: int
) -> None:
    check(encoders[name], data.draw(ANYTHING[name]), most)


def test_vectors_have_no_pieces(encoders: dict[str, Encoder]) -> None:
    assert not isinstance(encoders["adapter"].preprocessor, TakesApart)


@given(st.integers(1, 300), st.integers(1, 40))
def test_runs_are_neighbours_of_like_length(count: int, most: int) -> None:
    found = runs(count, most)
    assert [place for run in found for place in run] == list(range(count))
    assert len(found) == min(count, most)
    assert max(map(len, found)) - min(map(len, found)) <= 1


def shown(encoders: dict[str, Encoder], text: str, most: int = 32) -> list[str]:
    preprocessor = encoders["text"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    return [text[place["start"] : place["stop"]] for place in preprocessor.pieces(Text(text), most).places]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, please.", ["Don't", "stop,", "please."]),
        ("  two\twords \n", ["two", "words"]),
        ("猫が好き。", ["猫", "が", "好", "き。"]),
        ("CO₂ in 東京", ["CO₂", "in", "東", "京"]),
    ],
)
def test_words_with_their_punctuation(encoders: dict[str, Encoder], text: str, expected: list[str]) -> None:
    found = shown(encoders, text)
    assert [one.strip() for one in found] == expected


def test_what_a_tokenizer_reads_nothing_of_goes_with_the_word_before() -> None:
    pieces = pieces_of(Text("\0 a \0 \0 b"), 32, lambda texts: [text.strip() != "\0" for text in texts])
    assert list(pieces.places) == [{"start": 0, "stop": 7}, {"start": 8, "stop": 9}]
    with pytest.raises(InputError, match="empty"):
        pieces_of(Text("\0"), 32, lambda texts: [False])


def test_too_many_words_become_sentences(encoders: dict[str, Encoder]) -> None:
    text = "The cat sat. Did the dog? It did!"
    preprocessor = encoders["text"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    pieces = preprocessor.pieces(Text(text), 5)
    assert (pieces.unit, pieces.merged) == ("sentences", 8)
    assert shown(encoders, text, 5) == ["The cat sat.", "Did the dog?", "It did!"]
    assert shown(encoders, text, 2) == ["The cat sat.", "Did the dog? It did!"]
    assert shown(encoders, "the cat sat on the mat", 3) == ["the cat", "sat on", "the mat"]


def test_what_is_left_of_a_text(encoders: dict[str, Encoder]) -> None:
    preprocessor = encoders["text"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    pieces = preprocessor.pieces(Text("the  cat, sat"), 32)
    assert pieces.keep(np.array([True, False, True])) == Text("the  sat")
    assert pieces.keep(np.array([False, True, False])) == Text("cat,")
    assert pieces.keep(np.zeros(3, np.bool_)) is None


def test_events_and_fields(encoders: dict[str, Encoder]) -> None:
    preprocessor = encoders["shop-user"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    user = Features({"history": [{"id": "a"}, "b", "c"], "country": "France", "age": None}, 5.0)
    pieces = preprocessor.pieces(user, 32)
    assert list(pieces.places) == [
        *({"field": "history", "entries": [at]} for at in range(3)),
        {"field": "country"},
    ]
    left = pieces.keep(np.array([False, True, False, False]))
    assert left == Features({"history": ["b"], "age": None}, 5.0)
    few = preprocessor.pieces(user, 2)
    assert list(few.places) == [{"field": "history", "entries": [0, 1, 2]}, {"field": "country"}]
    assert few.merged == 4
    assert list(preprocessor.pieces(user, 1).places) == [{"fields": ["history", "country"]}]


def test_squares_lie_on_the_upright_picture(encoders: dict[str, Encoder]) -> None:
    preprocessor = encoders["image"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    pieces = preprocessor.pieces(pictures.image_of(pictures.drawing(60, 40)), 4)
    assert list(pieces.places) == [
        {"x": x, "y": y, "width": 20, "height": 20} for y in (0, 20) for x in (10, 30)
    ]
    upright = preprocessor.pieces(Image.from_bytes(pictures.turned(1)), 4)
    sideways = preprocessor.pieces(Image.from_bytes(pictures.turned(6)), 4)
    assert list(upright.places) == list(sideways.places)


def test_a_square_left_out_has_the_mean_colour(encoders: dict[str, Encoder]) -> None:
    preprocessor = encoders["image"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    image = pictures.image_of(pictures.drawing())
    (whole,) = preprocessor.prepare([image])
    pixels = whole.arrays["pixels"]
    left = preprocessor.pieces(image, 4).keep(np.array([True, True, True, False]))
    assert left is not None
    (prepared,) = preprocessor.prepare([left])
    half = len(pixels) // 2
    painted = prepared.arrays["pixels"][half:, half:].reshape(-1, 3)
    np.testing.assert_array_equal(painted, [pixels.reshape(-1, 3).mean(axis=0).round()] * len(painted))
    np.testing.assert_array_equal(prepared.arrays["pixels"][:half], pixels[:half])


def test_a_part_left_out_of_a_sound_is_silent(encoders: dict[str, Encoder]) -> None:
    preprocessor = encoders["audio"].preprocessor
    assert isinstance(preprocessor, TakesApart)
    pieces = preprocessor.pieces(sounds.sound_of(sounds.noise(7, 0.31)), 2)
    assert [place["start_s"] for place in pieces.places] == [0.0, pieces.places[0]["stop_s"]]
    assert pieces.places[-1]["stop_s"] == pytest.approx(0.31, abs=1e-3)
    left: Any = pieces.keep(np.array([False, True]))
    silent = round(pieces.places[0]["stop_s"] * left.rate)
    assert not left.samples[: silent - 1].any()
    assert left.samples[silent + 1 :].any()
