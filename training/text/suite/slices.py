"""Where an encoder is weak: the same metric on texts with numbers or negations, and with misspelt ones.

A slice is by what a text has, not by what an encoder does with it, and misspelt copies follow from the text
alone: every encoder, and BM25, is measured on the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from training.text.suite.splits import share
from training.text.suite.task import FEWEST

TYPOS, TYPO_RATE = "typos", 0.1
LONGEST = 160  # characters of a text in a table
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot)\b|n['\u2019]t\b", re.I
)

SLICES: Mapping[str, Callable[[str], bool]] = {
    "numbers": lambda text: any(map(str.isdecimal, text)),
    "negations": lambda text: _NEGATION.search(text) is not None,
}


def rows_of(texts: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """By slice, the rows, each of one or several texts, that have a text of it.

    Slices with too few for a metric are left out.
    """
    found = {
        name: [row for row, some in enumerate(texts) if any(map(has, some))] for name, has in SLICES.items()
    }
    return {name: rows for name, rows in found.items() if len(rows) >= FEWEST}


def misspelt(text: str) -> str:
    """The text with about a tenth of its letters swapped with the next one, the same ones every time."""
    letters, at = list(text), 0
    while at + 1 < len(letters):
        both = letters[at].isalpha() and letters[at + 1].isalpha()
        if both and share(f"{at} {text}", TYPOS) < TYPO_RATE:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
            at += 1
        at += 1
    return "".join(letters)


@dataclass(frozen=True)
class Worst:
    """The examples of a task that an encoder is furthest off in, as a table.

    Attributes:
        task: its name.
        columns: their heads.
        rows: cells, the worst first.
    """

    task: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def clipped(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
