"""A text cut to so many characters: never longer, never empty, and nothing that is read as one is halved."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import Text
from bundle.preprocess.text.cutting import MOST_STEPS, cut_end, cut_start

WHOLES = [
    "e\N{COMBINING ACUTE ACCENT}",
    "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}",
    "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
    "\N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}",
    "\N{REGIONAL INDICATOR SYMBOL LETTER N}\N{REGIONAL INDICATOR SYMBOL LETTER L}",
    unicodedata.normalize("NFD", "한"),
    "\N{DEVANAGARI LETTER KA}\N{DEVANAGARI VOWEL SIGN AA}",
    "\r\n",
]


@pytest.mark.parametrize("whole", WHOLES, ids=ascii)
def test_what_is_read_as_one_is_kept_or_dropped_as_one(whole: str) -> None:
    for inside in range(1, len(whole)):
        assert cut_end("abc" + whole + "def", 3 + inside) == "abc"
        assert cut_start("abc" + whole + "def", 3 + inside) == "def"
    assert cut_end("abc" + whole + "def", 3 + len(whole)) == "abc" + whole
    assert cut_start("abc" + whole + "def", 3 + len(whole)) == whole + "def"


@given(st.text(min_size=2), st.data())
def test_a_cut_is_a_part_at_that_side_and_loses_little(text: str, data: st.DataObject) -> None:
    most = data.draw(st.integers(1, len(text) - 1))
    first, last = cut_end(text, most), cut_start(text, most)

    assert text.startswith(first)
    assert text.endswith(last)
    for part in (first, last):
        assert max(1, most - MOST_STEPS) <= len(part) <= most


def test_a_pile_of_marks_is_cut_where_it_must_be() -> None:
    pile = "a" + "\N{COMBINING TILDE}" * 500

    assert (len(cut_end(pile, 300)), len(cut_start(pile, 300))) == (300, 300)


def test_a_cut_text_remembers_what_was_dropped() -> None:
    end, start = (Text("one two three").cut(7, from_start=side) for side in (False, True))

    assert (end.text, start.text) == ("one two", "o three")
    assert end.dropped == start.dropped
    assert end.prompted("query: ") == Text("query: one two", end.dropped, prompt_chars=7)
    assert end.dropped is not None
    assert (end.dropped.length, end.dropped.limit, end.dropped.unit) == (13, 7, "characters")
    assert end.key != Text("one two").key  # their vectors are equal, what is told of them is not
