"""The cheapest reading of a text in which characters changed places with their neighbours.

Two letters of a word did, any number of such pairs; or a letter and the space beside it, so that it stands at
the other word ("th ecat"); or the last letter of a word and the mark after it ("ca.t"). A word costs the
logarithm of its rank among the words of the vocabulary, a slip and an unknown word what `Costs` says: a noisy
channel, as of Kernighan, Church and Gale (1990), over ranks by Zipf's law. Costs are whole numbers, so that
every machine and every language finds the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

from bundle.preprocess.text.swaps import moved, recased, swaps

LONGEST = 24  # letters of a word that is read otherwise
MOST_KEPT = 16_384  # entries of each memory, which then starts anew
LETTER = 10_000  # the cost of a single letter that is no word
RARER = 1000  # how much dearer a known word may become by a letter of its neighbour's
MOVES = (0, -1, 1)  # across the space after a word: nothing, its last letter, the first one of the next word
# What a splitter leaves of "isn't" and "we'll": entries of vocabularies, but nothing that anybody meant.
LEFT_OF_APOSTROPHES = frozenset({
    *("ain", "aren", "couldn", "didn", "doesn", "hadn", "hasn", "isn", "ll", "mustn", "needn", "shan"),
    *("shouldn", "ve", "wasn", "weren", "wouldn"),
})  # fmt: skip
# Ending -> the fewest letters of a known word before it; the whole is taken for what was meant.
ENDINGS: Mapping[str, int] = {"s": 3, "es": 3} | dict.fromkeys(
    ["d", "r", "y", "n", "ed", "er", "ly", "ing", "est"], 4
)
# Marks, a word of small letters, with a capital before them or the first one swapped with it, and marks.
_WORD = re.compile(r"([\"'(\[]*)([A-Z]?[a-z]*|[a-z][A-Z][a-z]+)([.,;:!?)\]\"']*)")
_OVER_MARK = re.compile(r"([A-Za-z]{2,24})([.,;:!?])([a-z])")

Reading: TypeAlias = tuple[int, str]  # what it costs, and what is read
UNSEEN: Reading = (-1, "")
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Costs:
    """What readings cost, in thousandths of a nat.

    Attributes:
        unknown: a word that the vocabulary lacks.
        letter: each letter of such a word, on top.
        swap: a letter that changed places with the next, or with the mark after it.
        move: a letter that changed places with a space.
        is_loose: single letters count as unknown, and a letter may have passed a mark.
        is_hasty: known words may have been meant to be others, too.
    """

    unknown: int
    letter: int
    swap: int
    move: int
    is_loose: bool = False
    is_hasty: bool = False


class Word(NamedTuple):
    """A word as it stands.

    Attributes:
        cost: of reading it so.
        is_open: it may be read otherwise.
        may_move: letters at its ends may be its neighbours', and theirs its own.
    """

    cost: int
    is_open: bool
    may_move: bool


CLOSED = Word(
    0, is_open=False, may_move=False
)  # numbers, names, addresses and all else that is no plain word


class Channel:
    """Reads by one set of costs. Thread-safe.

    Args:
        known: word to its cost.
        anagrams: letters in their order to the words that have just these.
        costs: of all else.
    """

    def __init__(self, known: Mapping[str, int], anagrams: Mapping[str, Sequence[str]], costs: Costs) -> None:
        self._known, self._anagrams, self._costs = known, anagrams, costs
        self._fine: dict[str, bool] = {}  # words that are never open
        self._stand: dict[str, Word] = {}
        self._readings: dict[str, Reading | None] = {}
        self._doubts: dict[tuple[str, str, str], bool] = {}

    def read(self, words: Sequence[str]) -> Sequence[str]:
        """As many words, as they are read; the same object where nothing has another reading."""
        fine = self._fine
        doubtful = [at for at, word in enumerate(words) if word not in fine and self._is_doubtful(words, at)]
        if not doubtful:
            return words
        read = list(words)
        for start, stop in _stretches(doubtful, len(words)):
            stand = [self._at(words, at) for at in range(start, stop)]
            read[start:stop] = self._cheapest(words[start:stop], stand)
        return read

    def _at(self, words: Sequence[str], at: int) -> Word:
        """A word as it stands where it stands: a capital within a text is a name's, but in hasty typing."""
        word = words[at]
        found = self._stand.get(word) or self._stands(word)
        is_name = at and found.is_open and not self._costs.is_hasty and _has_capital(word)
        return CLOSED if is_name else found

    def _stands(self, word: str) -> Word:
        """What it costs to read a word as it stands."""
        costs, form = self._costs, _WORD.fullmatch(word)
        letters = form[2].lower() if form else ""
        found = CLOSED
        if not word or letters in self._known:
            found = Word(self._known.get(letters, 0), is_open=costs.is_hasty and bool(word), may_move=True)
        elif len(letters) == 1:
            found = Word(LETTER, is_open=costs.is_loose, may_move=True)
        elif 0 < len(letters) <= LONGEST or (costs.is_loose and _OVER_MARK.fullmatch(word)):
            found = Word(self._unknown(letters or word), is_open=True, may_move=True)
        return _keep(self._stand, word, found)

    def _unknown(self, letters: str) -> int:
        return self._costs.unknown + self._costs.letter * len(letters)

    def _is_doubtful(self, words: Sequence[str], at: int) -> bool:
        """Whether a word is open and may have another reading. What its letters say is kept: mostly no."""
        before = words[at - 1][-1:] if at else ""
        key = before, words[at], words[at + 1][:1] if at + 1 < len(words) else ""
        if (found := self._doubts.get(key)) is None:
            if not self._stands(words[at]).is_open:
                return not _keep(self._fine, words[at], True)
            forms = (moved(words, at, left, right) for left in MOVES for right in MOVES)
            readings = (self._reading(form) for form in forms if form)
            found = any(one is not None and one[1] != words[at] for one in readings)
            _keep(self._doubts, key, found)
        return found and self._at(words, at).is_open and self._can_change(words, at)

    def _can_change(self, words: Sequence[str], at: int) -> bool:
        """Whether a reading leaves the word beside it one, too."""
        own = self._reading(words[at])
        if own is not None and own[1] != words[at]:
            return True
        return any(
            self._has_move(words, place, move) and self._has_move(words, place + 1, move, is_after=True)
            for place in (at - 1, at)
            if 0 <= place < len(words) - 1
            for move in MOVES[1:]
        )

    def _has_move(self, words: Sequence[str], at: int, move: int, *, is_after: bool = False) -> bool:
        """Whether a word has a reading after this move across the space after it, or before it."""
        ways = ((move, other) if is_after else (other, move) for other in MOVES)
        forms = (moved(words, at, left, right) for left, right in ways)
        return any(form is not None and self._reading(form) is not None for form in forms)

    def _cheapest(self, words: Sequence[str], stand: Sequence[Word]) -> Sequence[str]:
        """Viterbi's way through the moves across the spaces between words."""
        paths = {0: _Path(0, "", None)}
        for at in range(len(words)):
            further = dict[int, _Path]()
            for left, path in paths.items():
                for right in MOVES if at + 1 < len(words) else (0,):
                    if (found := self._meant(words, stand, at, left, right)) is not None:
                        cost = path.cost + found[0] + (self._costs.move if right else 0)
                        if right not in further or cost < further[right].cost:
                            further[right] = _Path(cost, found[1], path)
            paths = further
        return paths[0].words()

    def _meant(
        self, words: Sequence[str], stand: Sequence[Word], at: int, left: int, right: int
    ) -> Reading | None:
        """A word whose ends have moved across the spaces; None where that makes no word."""
        word, own = words[at], stand[at]
        if not (left or right):
            reading = self._reading(word) if own.is_open else None
            return reading if reading is not None and reading[0] < own.cost else (own.cost, word)
        if not own.may_move or (right and not (own.is_open or stand[at + 1].is_open)):
            return None
        if right > 0 and not stand[at + 1].may_move:
            return None
        if right < 0 and not left and not stand[at + 1].is_open and self._is_inflected(word):
            return None  # "sneezes and" is no "sneeze sand"
        if (form := moved(words, at, left, right)) is None:
            return None
        reading = self._reading(form)
        may_become_rarer = own.is_open or not word  # two spaces hold no word
        is_dear = not may_become_rarer and reading is not None and reading[0] > own.cost + RARER
        return None if is_dear else reading

    def _reading(self, form: str) -> Reading | None:
        """The cheapest word that a form may be of by swaps; None where there is none, or only dear ones."""
        if not form:
            return 0, form
        found = self._readings.get(form, UNSEEN)
        return _keep(self._readings, form, self._found(form)) if found is UNSEEN else found

    def _found(self, form: str) -> Reading | None:
        if (parts := _WORD.fullmatch(form)) is not None:
            before, letters, after = parts.groups()
            mended = self._mended(letters.lower()) if len(letters) <= LONGEST else None
            if mended is None or (mended[1] != letters.lower() and mended[0] > self._unknown(letters)):
                return None
            return mended[0], before + recased(letters, mended[1]) + after
        if not self._costs.is_loose or (parts := _OVER_MARK.fullmatch(form)) is None:
            return None
        start, mark, last = parts.groups()
        mended = self._mended((start + last).lower())
        if mended is None:
            return None
        return mended[0] + self._costs.swap, recased(start + last, mended[1]) + mark

    def _mended(self, letters: str) -> Reading | None:
        """The cheapest known word of these letters, any number of pairs of neighbours swapped."""
        own = self._known.get(letters)
        if not self._costs.is_hasty and (own is not None or self._is_inflected(letters)):
            return None if own is None else (own, letters)
        found = [] if own is None else [(own, letters)]
        for word in self._anagrams.get("".join(sorted(letters)), ()):
            if count := swaps(letters, word):
                found.append((self._known[word] + count * self._costs.swap, word))
        return min(found, default=None)

    def _is_inflected(self, word: str) -> bool:
        """Whether it is a known word with an ending, which vocabularies often lack."""
        word = word.lower()
        return any(
            word.endswith(ending)
            and len(word) >= fewest + len(ending)
            and word[: -len(ending)] in self._known
            for ending, fewest in ENDINGS.items()
        )


class _Path(NamedTuple):
    """The cheapest readings of the first words of a stretch, from the last one backwards."""

    cost: int
    word: str
    before: _Path | None

    def words(self) -> list[str]:
        found, path = list[str](), self
        while path.before is not None:
            found.append(path.word)
            path = path.before
        return found[::-1]


def _stretches(doubtful: Sequence[int], length: int) -> Iterator[tuple[int, int]]:
    """From where to where words can depend on each other: the doubtful ones and their neighbours."""
    start, stop = max(0, doubtful[0] - 1), doubtful[0] + 2
    for at in doubtful[1:]:
        if at > stop:
            yield start, min(stop, length)
            start = at - 1
        stop = at + 2
    yield start, min(stop, length)


def _has_capital(word: str) -> bool:
    return word.lstrip("\"'([")[:1].isupper()


def _keep(memory: dict[K, V], key: K, value: V) -> V:
    """Put it into a memory, which starts anew when it is full."""
    if len(memory) >= MOST_KEPT:
        memory.clear()
    memory[key] = value
    return value
