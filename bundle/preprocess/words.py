"""Words of a short text feature (a title, a description): the simplest tokeniser that is stable.

Unicode NFKC, lower case, runs of letters and digits. No dependence on locale or library version
beyond the Unicode tables of Python.
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """Lower-case words in order, repetitions kept."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())
