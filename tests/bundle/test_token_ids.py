"""A text may be given as token ids of the model's own tokenizer; a prompt needs a text to stand before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from bundle import InputError, Text, prompted
from bundle.preprocess.text import TextPreprocessor, TokenIds

WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"]
MAX_LENGTH = 5


@pytest.fixture(scope="module")
def preprocessor() -> TextPreprocessor:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return TextPreprocessor(tokenizer.to_str().encode(), MAX_LENGTH)


def test_ids_of_a_text_are_prepared_as_the_text_and_in_its_place(preprocessor: TextPreprocessor) -> None:
    text, ids = preprocessor.prepare([Text("a b"), preprocessor.of_ids([1, 3, 4, 2])])

    np.testing.assert_array_equal(text.arrays["input_ids"], ids.arrays["input_ids"])
    assert (text.cost, text.facts) == (ids.cost, ids.facts)


def test_nothing_is_added_to_ids(preprocessor: TextPreprocessor) -> None:
    [ids] = preprocessor.prepare([preprocessor.of_ids([4])])

    assert ids.arrays["input_ids"].tolist() == [4]


@pytest.mark.parametrize(("side", "left"), [("end", [3, 4, 5, 6, 7]), ("start", [4, 5, 6, 7, 3])])
def test_too_many_ids_are_cut_on_the_side_that_is_asked_for(
    preprocessor: TextPreprocessor, side: Any, left: list[int]
) -> None:
    [ids] = preprocessor.prepare([preprocessor.of_ids([3, 4, 5, 6, 7, 3])], side)

    assert ids.arrays["input_ids"].tolist() == left
    assert [(one.length, one.unit) for one in ids.facts.truncated] == [(6, "tokens")]


def test_too_many_ids_are_refused_unless_asked_otherwise(preprocessor: TextPreprocessor) -> None:
    with pytest.raises(InputError, match="6 tokens, the limit is 5") as caught:
        preprocessor.prepare([Text("a"), preprocessor.of_ids([3] * 6)])

    assert caught.value.index == 1


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        ([], "empty_input"),
        ([3, -1], "unknown_token_id"),
        ([len(WORDS)], "unknown_token_id"),
        ([True], "wrong_type"),
        ([1.0], "wrong_type"),
        (["a"], "wrong_type"),
    ],
)
def test_what_is_no_id_of_this_tokenizer_is_refused(
    preprocessor: TextPreprocessor, ids: list[Any], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        preprocessor.of_ids(ids)

    assert caught.value.code == code


def test_ids_are_no_text_and_a_prompt_cannot_stand_before_them() -> None:
    assert TokenIds((3, 4)).key != Text("a b").key
    with pytest.raises(InputError) as caught:
        prompted([Text("a"), TokenIds((3,))], "query: ")
    assert (caught.value.index, caught.value.code) == (1, "prompt_of_token_ids")


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\0", "\u200b\u202e"])
def test_a_prompt_before_nothing_is_no_text(blank: str) -> None:
    with pytest.raises(InputError) as caught:
        prompted([Text("a"), Text(blank)], "query: ")

    assert (caught.value.index, caught.value.code) == (1, "empty_input")


@pytest.mark.parametrize("text", ["x", " x ", ".", "\ue000", "\u0301"])
def test_a_prompt_stands_before_all_that_can_be_read(text: str) -> None:
    [found] = prompted([Text(text)], "query: ")

    assert found.to_json() == f"query: {text}"
