"""Neighbouring characters that changed places: in a word, and across the space beside it."""

from __future__ import annotations

from collections.abc import Sequence


def moved(words: Sequence[str], at: int, left: int, right: int) -> str | None:
    """A word, with these letters moved back across the spaces beside it; None where there is no letter."""
    form = words[at]
    if left > 0:
        form = form[1:]
    if right < 0:
        if not _is_letter(form[-1:]):
            return None
        form = form[:-1]
    if left < 0:
        form = words[at - 1][-1:] + form if at else form
    if right > 0:
        after = words[at + 1][:1] if at + 1 < len(words) else ""
        return form + after if _is_letter(after) else None
    return form


def swaps(letters: str, word: str) -> int:
    """How many pairs of neighbours were swapped, none of them twice; 0 where that is not all, or nothing."""
    at = count = 0
    while at < len(word):
        if letters[at] == word[at]:
            at += 1
        elif letters[at : at + 2] == word[at : at + 2][::-1]:
            at, count = at + 2, count + 1
        else:
            return 0
    return count


def recased(letters: str, word: str) -> str:
    """The letters as they stand, in the order of the word."""
    if letters.islower():
        return word
    found, at = list(letters), 0
    while at < len(word):
        if found[at].lower() == word[at]:
            at += 1
        else:
            found[at : at + 2] = found[at : at + 2][::-1]
            at += 2
    return "".join(found)


def _is_letter(text: str) -> bool:
    return text.isascii() and text.isalpha()
