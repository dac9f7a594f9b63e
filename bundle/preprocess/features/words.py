"""Words of a short text feature (a title, a description): the simplest tokeniser that is stable.

Unicode NFKC, lower case, runs of letters and digits. No dependence on locale or library version
beyond the Unicode tables of Python.

A text may be as long as a request. Python normalises, and looks for words, in one call during which no other
thread runs, and sorts a run of combining marks in quadratic time: 6 s for 64,000 of them. So a long text is
read in pieces, its marks sorted first; the words are the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, pairwise, takewhile

LONG = 1024  # characters; what is shorter takes 0.5 ms at the worst
_WORD = re.compile(r"[^\W_]+")
_PIECE = re.compile(rf".{{1,{LONG}}}\S*", re.DOTALL)  # what follows begins with a space, which ends a word


def words(text: str) -> list[str]:
    """Lower-case words in order, repetitions kept."""
    if len(text) <= LONG:
        return _words(text)
    return [word for piece in pieces(text) for word in _words(piece)]


def pieces(text: str) -> Iterator[str]:
    """The text or one of the same normal form, cut before spaces, each combining mark in its order."""
    return (found[0] for found in _PIECE.finditer(text if text.isascii() else _decomposed(text)))


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _decomposed(text: str) -> str:
    """NFKD, which has the same NFKC: each character by itself, then the combining marks in their order."""
    apart = "".join([unicodedata.normalize("NFKD", character) for character in text])
    runs = groupby(apart, key=lambda character: unicodedata.combining(character) > 0)
    return "".join(
        ["".join(sorted(run, key=unicodedata.combining) if are_marks else run) for are_marks, run in runs]
    )


def bigrams(of: Sequence[str]) -> list[str]:
    """Neighbouring words in order, joined by a space, which no word holds."""
    return [f"{one} {next_one}" for one, next_one in pairwise(of)]


def distinct(of: Sequence[str]) -> list[str]:
    """Each word once, in order. "lunch bag lunch bag" is no more of a lunch bag than "lunch bag"."""
    return list(dict.fromkeys(of))


def distinct_prefixes(of: Sequence[str], lengths: Sequence[int]) -> list[str]:
    """Each beginning of these lengths of a longer word once, in order, without those that are words of it.

    "bags" begins like "bag"; an article's code, 85123A, like those of its family.
    """
    found = distinct([word[:length] for word in of for length in lengths if length < len(word)])
    return [prefix for prefix in found if prefix not in of]


def distinct_bigrams(of: Sequence[str], among: Collection[str]) -> list[str]:
    """Each pair of neighbouring words once, in order, up to the first word that is not among these."""
    return distinct(bigrams(list(takewhile(set(among).__contains__, of))))
