"""A Unigram vocabulary cut to what texts use: nothing of them unknown, each piece still the teacher's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from bundle.preprocess.text import Text
from bundle.preprocess.text.preprocessor import TextPreprocessor
from training.errors import ConfigError
from training.text.reduced import origins, reduced

LETTERS = "abcdefgäABT"
PIECES = [
    ("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -3.0), ("▁Bad", -4.0), ("▁bad", -4.5),
    ("▁cab", -4.2), ("▁fade", -5.0), ("bed", -5.5), ("▁Tee", -6.0), ("ade", -6.5), ("ت", -7.0),
    *((letter, -8.0) for letter in LETTERS), ("漢", -9.0),
]  # fmt: skip
TEXTS = ["bad cab", "Bad cab fade", "cab تَت", "bed"]


def _whole() -> bytes:
    tokenizer = Tokenizer(models.Unigram(PIECES, unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one, _ in PIECES[:4]])
    return tokenizer.to_str().encode()


def _pieces(content: bytes) -> list[str]:
    return [piece for piece, _ in json.loads(content)["model"]["vocab"]]


def test_the_commonest_pieces_and_all_characters_of_the_texts_are_kept() -> None:
    small = _pieces(reduced(_whole(), TEXTS, 13, lowercase=False))

    assert small[:2] == ["<pad>", "<unk>"]
    assert len(small) == 13
    assert {one for one in small[2:] if len(one) > 1} < {"▁cab", "▁bad", "▁Bad", "bed", "▁fade"}
    assert "漢" not in small
    assert set("abcdeBت▁") <= set(small)


def test_case_and_vowel_marks_are_folded_and_the_likeliest_form_is_the_origin() -> None:
    whole = _whole()
    content = reduced(whole, TEXTS, 30, lowercase=True)
    small, found = Tokenizer.from_str(content.decode()), origins(content, whole)

    assert "▁Bad" not in _pieces(content)
    assert PIECES[found[_pieces(content).index("▁bad")]][0] == "▁Bad"
    assert [PIECES[one][0] for one in found[:2]] == ["<pad>", "<unk>"]
    assert small.encode("BAD").ids == small.encode("bad").ids
    assert small.encode("تَت").ids == small.encode("تت").ids


@given(st.lists(st.text(LETTERS + " ", min_size=1), min_size=1, max_size=5), st.booleans())
def test_nothing_of_the_texts_is_unknown_that_was_known(texts: list[str], lowercase: bool) -> None:
    content = reduced(_whole(), texts, 30, lowercase=lowercase)
    small = Tokenizer.from_str(content.decode())

    assert all(1 not in small.encode(text).ids for text in texts)
    assert len(origins(content, _whole())) == small.get_vocab_size()


def test_a_bundle_reads_it_and_says_what_is_unknown() -> None:
    preprocessor = TextPreprocessor(reduced(_whole(), TEXTS, 30, lowercase=True), 16)
    known, unknown = preprocessor.prepare([Text("Bad cab"), Text("bad 漢")])

    assert not known.facts.unknown
    assert unknown.facts.unknown
    assert 1 in unknown.arrays["input_ids"]
    assert 1 not in preprocessor.terms(unknown)


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ConfigError, match="the texts have 9 characters; give more"):
        reduced(_whole(), TEXTS, 5, lowercase=False)
    wordpiece = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(ConfigError, match="the teacher's is WordPiece"):
        reduced(wordpiece.to_str().encode(), TEXTS, 5, lowercase=False)
