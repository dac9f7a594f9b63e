# ruff: noqa: RUF001  # characters that look like others are what is tested
"""Compatibility forms are read as plain letters, symbols as words: by training and serving alike."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from bundle import KINDS, Text
from bundle.preprocess import Prepared
from training.errors import ConfigError
from training.text.config.model import VocabularyConfig
from training.text.vocabulary import reading_plainly, train_tokenizer, with_symbols

TEXTS = [
    "find the office in full width",
    "good 👍 bad 👎",
    "a cafe, a to b",
    "i love it ❤ 😍",
    "half 1⁄2",
] * 3
SAME = {
    "a ligature": ("ﬁnd the oﬃce", "find the office"),
    "full width": ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
    "mathematical letters": ("𝐟𝐮𝐥𝐥 𝓌𝒾𝒹𝓉𝒽", "full width"),
    "zero width": ("fi\u200bnd the\ufeff off\u00adice", "find the office"),
    "no-break space": ("full\u00a0width", "full width"),
    "combining accents": ("cafe\u0301", "caf\u00e9"),
    "an emoji after a word": ("love😍it", "love 😍 it"),
    "two emoji": ("👍👎", "👍 👎"),
    "how an emoji is shown": ("❤\ufe0f", "❤"),
}


def prepared(content: bytes, text: str) -> Prepared:
    (found,) = KINDS["text"].load(content, 512).prepare([Text(text)])
    return found


def ids(content: bytes, text: str) -> list[int]:
    return list(map(int, prepared(content, text).arrays["input_ids"]))


TRAINED = train_tokenizer(TEXTS, VocabularyConfig(size=200, min_count=1))
AS_IT_IS = train_tokenizer(TEXTS, VocabularyConfig(size=200, min_count=1, plain=False))


@pytest.mark.parametrize(("text", "plain"), SAME.values(), ids=SAME.keys())
def test_other_forms_are_read_as_plain_ones(text: str, plain: str) -> None:
    assert ids(TRAINED, text) == ids(TRAINED, plain)
    assert "unknown" not in prepared(TRAINED, text).facts.warnings


def test_symbols_of_the_texts_are_told_apart() -> None:
    assert ids(TRAINED, "👍") != ids(TRAINED, "👎")


def test_symbols_that_the_vocabulary_lacks_are_told() -> None:
    assert prepared(TRAINED, "good 🦖").facts.warnings["unknown"] == ["text"]


def test_without_it_they_are_read_as_they_stand() -> None:
    assert ids(AS_IT_IS, "ｆｕｌｌ") != ids(AS_IT_IS, "full")
    assert json.loads(AS_IT_IS)["normalizer"]["type"] == "BertNormalizer"


@given(st.text())
def test_what_was_normalised_stays_as_it_is(text: str) -> None:
    normalizer = Tokenizer.from_str(TRAINED.decode()).normalizer
    once = normalizer.normalize_str(text)
    assert normalizer.normalize_str(once).split() == once.split()


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_ascii_is_read_as_before(text: str) -> None:
    one, other = (Tokenizer.from_str(content.decode()) for content in (TRAINED, AS_IT_IS))
    assert one.normalizer.normalize_str(text) == other.normalizer.normalize_str(text)
    words = [each.pre_tokenizer.pre_tokenize_str(text) for each in (one, other)]
    assert words[0] == words[1]


def taken(*, extra: Sequence[str] = ()) -> bytes:
    """A tokenizer of BERT's form with two unused entries."""
    words = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "good", "©", *extra]
    tokenizer = Tokenizer(models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer.to_str().encode()


def test_the_commonest_symbols_take_unused_entries() -> None:
    texts = ["good 👎", "good 👍👍", "© ™ 👎👎", "🚀"]
    content = with_symbols(reading_plainly(taken(), None), texts, 64)

    assert (ids(content, "👎"), ids(content, "👍"), ids(content, "🚀")) == ([1], [2], [3])
    assert ids(content, "good©") == [4, 5]
    assert len(json.loads(content)["model"]["vocab"]) == 6
    assert with_symbols(taken(), texts, 0) == taken()


def test_another_form_is_left_alone_or_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, "[UNK]"))
    content = tokenizer.to_str().encode()

    assert reading_plainly(content, None) == reading_plainly(content, False) == content
    with pytest.raises(ConfigError, match="BERT"):
        reading_plainly(content, True)
