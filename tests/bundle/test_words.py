"""Words of texts: by their definition, however long the text is and whatever it is made of."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.preprocess.features.words import LONG, pieces, words

# Letters that compose, decompose, change with their neighbours when lowered, or become several; marks of many
# classes; what separates words.
PARTS = [" ", "\n", "\xa0", "\u3000", "_", "-", "'", "a", "Σ", "é", "e\u0301", "\u0301\u0316", "\u0344"]
PARTS += ["\u0f73", "\u0fb2\u0f81", "\u1100\u1161", "\u11a8", "\uac00", "\ufdfa", "ﬁ", "Ⅷ", "İ", "中"]
PARTS += ["\u2126", "\u0915\u093c", "\U0001d15e"]


def by_definition(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).lower())


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=40), st.integers(LONG // 8, LONG // 4))
def test_a_long_text_has_the_words_of_its_normal_form(parts: list[str], times: int) -> None:
    text = "".join(parts) * times

    assert words(text) == by_definition(text)


@pytest.mark.parametrize("word", ["lamp ", "\ufdfa", "größe\n"])
def test_no_more_is_normalised_at_once_than_a_piece(word: str) -> None:
    """Python does it in one call, which no other thread can interrupt."""
    found = list(pieces(word * 20_000))

    assert len(found) > 20
    assert max(map(len, found)) < LONG + 20  # the rest of the last word


def test_marks_are_in_their_order_before_they_are_normalised() -> None:
    """Python sorts them by insertion: 64,000 in disorder would take it 6 s."""
    [piece] = pieces("a" + "\u0316\u0301\u0f73" * 1000)

    classes = [unicodedata.combining(mark) for mark in piece[1:]]
    assert 0 not in classes
    assert all(one <= other for one, other in pairwise(classes))
