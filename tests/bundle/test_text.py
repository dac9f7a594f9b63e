"""Texts to token ids."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ANY_TEXT
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from bundle import Facts, InputError, ManifestError, Prepared, Text, Truncate, Truncation
from bundle.preprocess.text import TextPreprocessor, pack

WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"]
CLS, SEP = 1, 2
MAX_LENGTH = 5  # three words beside the two special tokens


def bert_like() -> Tokenizer:
    tokenizer = word_level()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def loaded(tokenizer: Tokenizer, max_length: int = MAX_LENGTH) -> TextPreprocessor:
    return TextPreprocessor(tokenizer.to_str().encode(), max_length)


def prepare(text: Any, truncate: Truncate = "none", tokenizer: Tokenizer | None = None) -> Prepared:
    return loaded(tokenizer or bert_like()).prepare([Text(text)], truncate)[0]


def ids(text: str, truncate: Truncate = "none") -> list[int]:
    return list(map(int, prepare(text, truncate).arrays["input_ids"]))


def refusal(text: Any, truncate: Truncate = "none") -> InputError:
    with pytest.raises(InputError) as caught:
        prepare(text, truncate)
    return caught.value


def test_ids_have_the_special_tokens_around_them() -> None:
    assert ids("a b c") == [CLS, 3, 4, 5, SEP]


def test_text_of_exactly_the_limit_is_whole() -> None:
    prepared = prepare("a b c")
    assert prepared.cost == prepared.facts.tokens == MAX_LENGTH
    assert prepared.facts.warnings == {}


def test_too_long_text_is_refused_unless_truncation_is_asked_for() -> None:
    error = refusal("a b c d")
    assert error.code == "too_long"
    assert str(error) == (
        'inputs[0]: the text has 6 tokens, the limit is 5; shorten it or send "truncate":"end"'
    )


@pytest.mark.parametrize(("truncate", "kept"), [("end", [CLS, 3, 4, 5, SEP]), ("start", [CLS, 5, 6, 7, SEP])])
def test_truncation_cuts_the_named_side_and_keeps_special_tokens(truncate: Truncate, kept: list[int]) -> None:
    prepared = prepare("a b c d e", truncate)
    assert prepared.arrays["input_ids"].tolist() == kept
    assert prepared.facts.truncated == (Truncation("text", 7, MAX_LENGTH, "tokens"),)
    assert prepared.cost == MAX_LENGTH


@pytest.mark.parametrize("truncate", ["none", "end", "start"])
@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_text_without_a_token_is_refused(text: str, truncate: Truncate) -> None:
    assert refusal(text, truncate).code == "empty_input"


def test_text_whose_characters_are_all_dropped_is_refused() -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0}, []))
    with pytest.raises(InputError, match="has no token"):
        prepare("zzz", tokenizer=tokenizer)


@pytest.mark.parametrize("text", ["\ud800", "a \udfff b"])
def test_lone_surrogate_is_refused_without_repeating_it(text: str) -> None:
    error = refusal(text)
    assert error.code == "invalid_text"
    assert text not in str(error)
    str(error).encode()


@pytest.mark.parametrize("value", [None, 5, b"a", ["a"], {"text": "a"}])
def test_value_that_is_no_string_is_refused(value: Any) -> None:
    assert refusal(value).code == "wrong_kind"


def test_error_names_the_item() -> None:
    with pytest.raises(InputError) as caught:
        loaded(bert_like()).prepare([Text("a"), Text("b"), Text("")])
    assert (caught.value.index, caught.value.param) == (2, "inputs[2]")


UNKNOWN_REPORTED = {
    "WordLevel": Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")),
    "WordPiece": Tokenizer(models.WordPiece({"<unk>": 0, "a": 1}, unk_token="<unk>")),
    "BPE": Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>")),
    "Unigram": Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0)),
}


@pytest.mark.parametrize("tokenizer", UNKNOWN_REPORTED.values(), ids=UNKNOWN_REPORTED)
def test_unknown_token_is_reported(tokenizer: Tokenizer) -> None:
    assert prepare("a", tokenizer=tokenizer).facts.unknown == ()
    assert prepare("z", tokenizer=tokenizer).facts.unknown == ("text",)


NO_UNKNOWN_TOKEN = {
    "WordLevel": Tokenizer(models.WordLevel({"a": 0}, unk_token="<unk>")),
    "WordPiece": Tokenizer(models.WordPiece({"a": 0}, unk_token="<unk>")),
    "BPE": Tokenizer(models.BPE({"a": 0}, [], unk_token="<unk>")),
    "Unigram": Tokenizer(models.Unigram([("a", -1.0)])),
}


@pytest.mark.parametrize("tokenizer", NO_UNKNOWN_TOKEN.values(), ids=NO_UNKNOWN_TOKEN)
def test_tokenizer_that_would_fail_at_an_unknown_word_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(ManifestError, match="unknown token"):
        loaded(tokenizer)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"null", b'{"model":{}}', b"[" * 100_000])
def test_malformed_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestError, match=r"tokenizer\.json"):
        TextPreprocessor(content, MAX_LENGTH)


@pytest.mark.parametrize("max_length", [1, 2])
def test_limit_without_room_for_a_word_is_refused(max_length: int) -> None:
    with pytest.raises(ManifestError, match="max_length"):
        loaded(bert_like(), max_length)


def test_padding_and_truncation_in_the_file_are_ignored() -> None:
    """The teacher's tokenizer.json pads every text to 128."""
    tokenizer = bert_like()
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(4)
    preprocessor = loaded(tokenizer)
    (prepared,) = preprocessor.prepare([Text("a b c")])
    assert prepared.arrays["input_ids"].tolist() == [CLS, 3, 4, 5, SEP]
    assert "padding" in json.loads(tokenizer.to_str())


def test_collate_pads_with_zeros_that_the_mask_leaves_out() -> None:
    preprocessor = loaded(bert_like())
    arrays = preprocessor.collate(preprocessor.prepare([Text("a"), Text("a b c")]))
    assert arrays["input_ids"].tolist() == [[CLS, 3, SEP, 0, 0], [CLS, 3, 4, 5, SEP]]
    assert arrays["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int64)}


@given(texts=st.lists(ANY_TEXT | st.text("abc ", max_size=40), max_size=4))
def test_prepare_is_total(texts: list[str]) -> None:
    """Any unicode gives ids within the limit, or an InputError that names the item."""
    truncates: list[Truncate] = ["none", "end", "start"]
    for truncate in truncates:
        try:
            prepared = BERT_LIKE.prepare([Text(text) for text in texts], truncate)
        except InputError as error:
            codes = {"invalid_text", "empty_input"} | ({"too_long"} if truncate == "none" else set())
            if error.code not in codes or not 0 <= error.index < len(texts):
                raise
        else:
            assert all(3 <= one.cost <= MAX_LENGTH for one in prepared)


@given(text=ANY_TEXT)
def test_prepare_is_deterministic(text: str) -> None:
    try:
        first = BERT_LIKE.prepare([Text(text)], "end")[0]
    except InputError:
        return
    again = loaded(bert_like()).prepare([Text(text)], "end")[0]
    assert first.arrays["input_ids"].tolist() == again.arrays["input_ids"].tolist()
    assert first.facts == again.facts


BERT_LIKE = loaded(bert_like())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_packing_keeps_every_token_in_its_place(lengths: list[int]) -> None:
    """The grid leads from a text and a position to the token, and `spots` leads back."""
    rows = [np.arange(length) + 100 * (number + 1) for number, length in enumerate(lengths)]
    batch = [Prepared({"input_ids": row}, len(row), Facts()) for row in rows]

    arrays = pack(batch)

    token_ids, grid, spots = (arrays[name] for name in TextPreprocessor.packed_names)
    assert grid.shape == (len(rows), max(lengths))
    for row, places in zip(rows, grid, strict=True):
        np.testing.assert_array_equal(token_ids[places[places >= 0]], row)
        assert (places[len(row) :] == -1).all()
    np.testing.assert_array_equal(grid.reshape(-1)[spots], np.arange(len(token_ids)))


# A normaliser that makes several characters of one.

LONG = "\ufdfa"  # eighteen characters in NFKC


def growing(normalizer: Any) -> TextPreprocessor:
    tokenizer = bert_like()
    tokenizer.normalizer = normalizer
    return loaded(tokenizer, 512)


@pytest.mark.parametrize("truncate", ["none", "end", "start"])
@pytest.mark.parametrize(
    ("normalizer", "text"),
    [
        (normalizers.NFKC(), LONG * 500),
        (normalizers.NFKD(), f"a {LONG} " * 200),
        (normalizers.Replace("b", "b" * 50), "b" * 500),
    ],
)
def test_a_text_that_normalising_makes_many_times_longer_is_refused(
    normalizer: Any, text: str, truncate: Truncate
) -> None:
    preprocessor = growing(normalizer)
    with pytest.raises(InputError) as caught:
        preprocessor.prepare([Text("a"), Text(text)], truncate)
    with pytest.raises(InputError) as told:
        preprocessor.tokens(["a", text])

    assert (caught.value.index, caught.value.code) == (told.value.index, "too_long") == (1, "too_long")
    assert "the limit is" in caught.value.reason


@pytest.mark.parametrize("text", [LONG, f"a {LONG} b", "a b " * 50 + LONG * 20, "\ufb03 a " * 100])
def test_a_text_with_some_such_characters_is_read(text: str) -> None:
    preprocessor = growing(normalizers.NFKC())
    (prepared,) = preprocessor.prepare([Text(text)], "end")

    assert prepared.cost > 2


def test_texts_prepared_in_pieces_are_those_prepared_alone() -> None:
    """And the first bad one is named, whatever its piece."""
    texts = ["a b " * 20_000, "c", "d " * 70_000, "a \u00e9 b", "e"] * 3
    preprocessor = loaded(bert_like())
    together = preprocessor.prepare([Text(text) for text in texts], "end")

    for text, one in zip(texts, together, strict=True):
        (alone,) = preprocessor.prepare([Text(text)], "end")
        assert (one.facts, one.arrays["input_ids"].tolist()) == (
            alone.facts,
            alone.arrays["input_ids"].tolist(),
        )
    with pytest.raises(InputError) as caught:
        preprocessor.prepare([Text(text) for text in [*texts, "", *texts]], "end")
    assert caught.value.index == len(texts)
