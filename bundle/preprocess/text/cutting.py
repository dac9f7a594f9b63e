"""Cuts a text to so many characters, at the end or the start, without halving one that a reader sees.

A letter and its accents, an emoji with its skin or its family, the two letters of a flag: several code points
each. A cut that would fall between them drops the whole (Unicode UAX 29, in what matters for texts).
"""

from __future__ import annotations

import unicodedata

MOST_STEPS = 32  # how far a cut moves; a longer pile of marks is nobody's writing
_JOINER = "\u200d"


def cut_end(text: str, most: int) -> str:
    """The first `most` characters, or a few less; never none."""
    place = most
    while place > max(1, most - MOST_STEPS) and _is_joined(text, place):
        place -= 1
    return text[: most if _is_joined(text, place) else place]


def cut_start(text: str, most: int) -> str:
    """The last `most` characters, or a few less; never none."""
    first = len(text) - most
    place = first
    while place < min(len(text) - 1, first + MOST_STEPS) and _is_joined(text, place):
        place += 1
    return text[first if _is_joined(text, place) else place :]


def _is_joined(text: str, place: int) -> bool:
    """Tell whether what stands before and after the place are read as one."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if after.isascii():
        return before == "\r" and after == "\n"
    return (
        _JOINER in (before, after)
        or unicodedata.category(after).startswith("M")  # accents, vowel signs, variants
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skins
        or (_is_flag_letter(before) and _is_flag_letter(after))
        or "\u1160" <= after <= "\u11ff"  # vowels and endings of a Korean syllable
    )


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
