"""A text taken apart into words, or into sentences where its words are too many.

A word is what stands between blanks, with its punctuation; in scripts that have no blanks it is a character
with its marks. So nothing of a text is left when all its words are gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.preprocess.base import Pieces, runs
from bundle.preprocess.text.input import EMPTY, Text

# Han, kana, Thai, Lao, Burmese and Khmer: written without blanks between words.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
# Vowel signs and tones of these, and punctuation, go with the character before them.
_MARKS = "\u0e30-\u0e3a\u0e45-\u0e4e\u0eb0-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3\u3099-\u309c"
_CLOSING = r"\u3001-\u3003\uff01-\uff0f\uff1a-\uff1f.,;:!?)\]}\"'"
_WORD = re.compile(rf"[{_UNSPACED}][{_MARKS}{_CLOSING}]*|[^\s{_UNSPACED}]+")
_END = re.compile(r"[.!?\u2026][\"')\]\u201d\u2019]*\s|[\u3002\uff01\uff1f]|\n")


def pieces_of(text: Text, most: int, are_read: Callable[[Sequence[str]], Sequence[bool]]) -> Pieces:
    """At most so many words; or sentences, or runs of them; or runs of words, if there is one sentence.

    Args:
        text: to be taken apart.
        most: pieces, at least 1.
        are_read: tells of texts whether a tokenizer has a token for them. A piece of which it has none goes
            with the one before.

    Raises:
        InputError: there is nothing to read in it.
    """
    words = [found.start() for found in _WORD.finditer(text.text)]
    starts, unit = words, "words"
    if len(words) > most:
        sentences = _sentences(text.text, words)
        if len(sentences) > 1:
            starts, unit = sentences, "sentences"
        starts = [starts[run.start] for run in runs(len(starts), most)]
    read = are_read([text.text[start:stop] for start, stop in pairwise([*starts, len(text.text)])])
    starts = [start for start, is_read in zip(starts, read, strict=True) if is_read]
    if not starts:
        raise InputError(0, "empty_input", EMPTY)
    return _pieces(unit, text, starts, len(words) if len(words) > most else 0)


def _sentences(text: str, words: Sequence[int]) -> list[int]:
    """Where sentences start: at a word that stands behind the end of another."""
    ends = [found.end() for found in _END.finditer(text)]
    after = np.searchsorted(words, ends)  # [e]: the first word behind each end
    return [words[place] for place in sorted({0, *after.tolist()}) if place < len(words)]


def _pieces(unit: str, text: Text, starts: Sequence[int], merged: int) -> Pieces:
    first = len(text.text) - len(text.text.lstrip())
    spans = list(pairwise([first, *starts[1:], len(text.text)]))
    places: list[Mapping[str, Any]] = [
        {"start": start, "stop": start + len(text.text[start:stop].rstrip())} for start, stop in spans
    ]
    return Pieces(unit, places, partial(_keep, text, spans), merged)


def _keep(text: Text, spans: Sequence[tuple[int, int]], kept: npt.NDArray[np.bool_]) -> Text | None:
    if kept.all():
        return text
    left = "".join([text.text[slice(*span)] for span, is_kept in zip(spans, kept, strict=True) if is_kept])
    return replace(text, text=left.rstrip()) if left else None
