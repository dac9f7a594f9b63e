"""Words of a short text feature (a title, a description): the simplest tokeniser that is stable.

Unicode NFKC, lower case, runs of letters and digits. No dependence on locale or library version
beyond the Unicode tables of Python.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Lower-case words in order, repetitions kept."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def bigrams(of: Sequence[str]) -> list[str]:
    """Neighbouring words in order, joined by a space, which no word holds."""
    return [f"{one} {next_one}" for one, next_one in pairwise(of)]
