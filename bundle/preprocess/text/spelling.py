"""Reads words whose letters were swapped in typing as the words of the vocabulary that they were meant to be.

    text -> is a word mended where every slip is looked for? -> no:   read as it stands
                                                             -> yes:  read strictly
                                                             -> many: read as hasty typing

A reading has the characters of the text, only in another order, so its length and the places of its tokens
stay. How the cheapest one is found is in `channel`; docs/bundle.md has the rule in words, and
docs/text-encoders.md what it is worth and what the numbers were chosen by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import log
from typing import Any, Final, NamedTuple

from bundle.errors import ManifestError
from bundle.preprocess.text.channel import LEFT_OF_APOSTROPHES, Channel, Costs

RULE: Final = 1  # the version of the rule, as manifests name it
MOST_WORDS = 64  # of a text; a longer one is no query, and a slip in it says little
FEWEST, SHARE = 2, 0.15  # words of a text that must be mended, of all its words, for hasty typing
WORDS_OF_ONE_LETTER: Mapping[str, int] = {"a": 1609, "i": 3401}  # as ranks 5 and 30 cost

STRICT = Costs(unknown=5000, letter=1600, swap=4000, move=5500)
LOOSE = Costs(unknown=6000, letter=2000, swap=3000, move=3000, is_loose=True)
HASTY = Costs(unknown=5000, letter=3000, swap=2000, move=2000, is_loose=True, is_hasty=True)


class Reading(NamedTuple):
    """A text as it is read, and how many of its words are read otherwise than they are written."""

    text: str
    changed: int


class Spelling:
    """The rule, with the words of one vocabulary. Thread-safe.

    Args:
        words: the whole words of two letters and more, from a to z, the commonest first.
    """

    def __init__(self, words: Sequence[str]) -> None:
        known = {word: round(1000 * log(rank)) for rank, word in enumerate(words, 1)}
        known |= WORDS_OF_ONE_LETTER
        anagrams = dict[str, list[str]]()
        for word in known:
            if word not in LEFT_OF_APOSTROPHES:
                anagrams.setdefault("".join(sorted(word)), []).append(word)
        self._strict, self._loose, self._hasty = (
            Channel(known, anagrams, costs) for costs in (STRICT, LOOSE, HASTY)
        )

    @classmethod
    def of(cls, tokenizer_json: bytes) -> Spelling:
        """The words of a tokenizer. Raises ManifestError for one whose vocabulary does not tell them."""
        file = json.loads(tokenizer_json)
        model = file["model"]
        if model.get("type") != "WordPiece" or not _folds_case(file.get("normalizer")):
            raise ManifestError(
                "misspelt words are told by a WordPiece vocabulary of small letters, and tokenizer.json has "
                "none; leave respell out"
            )
        entries = sorted(model["vocab"], key=model["vocab"].__getitem__)
        return cls([one for one in entries if len(one) > 1 and one.isascii() and one.isalpha()])

    def read(self, text: str) -> Reading:
        """The text as it was meant, of the same length; one of more than MOST_WORDS as it stands."""
        if text.count(" ") >= MOST_WORDS:
            return Reading(text, 0)
        words = text.split(" ")
        slips = _changed(words, self._loose.read(words))
        if not slips:
            return Reading(text, 0)
        is_hasty = slips >= max(FEWEST, SHARE * sum(map(bool, words)))
        read = (self._hasty if is_hasty else self._strict).read(words)
        return Reading(" ".join(read), _changed(words, read))


def _changed(words: Sequence[str], read: Sequence[str]) -> int:
    return 0 if words is read else sum(map(str.__ne__, words, read))


def _folds_case(normalizer: Mapping[str, Any] | None) -> bool:
    """Whether a normaliser, or one of a sequence, makes small letters of capitals."""
    found = normalizer or {}
    parts = found.get("normalizers", ())
    return bool(found.get("lowercase")) or found.get("type") == "Lowercase" or any(map(_folds_case, parts))
