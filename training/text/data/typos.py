"""Misspelt copies of texts: what fingers do to words, so that an encoder can learn to read through it."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping, Sequence

from training.text.config.data import TyposConfig

# A slip at a place of a text -> what stands there in place of how many characters.
Slip = Callable[[str, int, random.Random], tuple[str, int]]

SLIPS: Mapping[str, Slip] = {
    "swapped": lambda text, at, chance: (text[at : at + 2][::-1], 2),
    "left out": lambda text, at, chance: ("", 1),
    "doubled": lambda text, at, chance: (text[at] * 2, 1),
    "another letter": lambda text, at, chance: (chance.choice(string.ascii_lowercase), 1),
}
# Swapped neighbours are the commonest slip of quick typing, and move two characters at a time.
WEIGHTS: Mapping[str, int] = {"swapped": 5, "left out": 2, "doubled": 1, "another letter": 2}


def misspelt(texts: Sequence[str], config: TyposConfig, seed: int) -> list[str]:
    """A copy of every text, with slips in it; the same for the same texts and seed.

    Args:
        texts: as they were written.
        config: how many slips.
        seed: of their places and kinds.
    """
    chance = random.Random(seed)  # noqa: S311  # nothing secret
    return [_misspelt(text, config.rate, chance) for text in texts]


def _misspelt(text: str, rate: float, chance: random.Random) -> str:
    """Each character begins a slip with this chance; a blank text stays one, and no other becomes one."""
    written, at = [], 0
    while at < len(text):
        if chance.random() < rate:
            kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            new, used = SLIPS[kind](text, at, chance)
        else:
            new, used = text[at], 1
        written.append(new)
        at += used
    copy = "".join(written)
    return copy if copy.strip() and text.strip() else text
