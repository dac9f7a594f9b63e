"""What the columns of an interaction log hold, guessed from their values, each guess with its reason.

    rows -> per column: kind -> roles (user, item, time) -> side of every other column

A guess is for a person to edit, so it is simple and says why. Knows no config file: that is
`training.recommender.infer`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from bundle.preprocess.features.words import words

Kind: TypeAlias = Literal["category", "bag", "text", "number", "time"]
Side: TypeAlias = Literal["user", "item"]
Table: TypeAlias = Mapping[str, Sequence[str]]  # column -> its values, row by row

SURE = 0.99  # share of the values that must be of a kind
STEADY = 0.9  # share of a user's (item's) rows with its most frequent value, for the column to be the user's
FEW = 20  # distinct numbers up to which they are taken for codes
TEXT_WORDS = 2.5  # words a value on average, from which it is text
SEPARATORS = ("|", ";", ",")
OFTEN = 0.2  # share of the values with a separator, for it to be one
EPOCH_S = (1e8, 5e9)  # 1973 to 2128: between these, numbers may be moments

_USER = re.compile(r"(user|customer|client|visitor|member|shopper|account|session)", re.IGNORECASE)
_ITEM = re.compile(r"(item|product|stock|sku|article|movie|film|book|track|song|asin|listing)", re.IGNORECASE)
_TIME = re.compile(r"(time|date|when|stamp|_at$)", re.IGNORECASE)
_ID = re.compile(r"(id|code|no|number|key|user|item|sku)$", re.IGNORECASE)


@dataclass(frozen=True)
class Guess:
    """A guess at what one column holds.

    Attributes:
        reason: in words, with the numbers it rests on.
        separator: between the entries of a bag.
    """

    column: str
    kind: Kind
    reason: str
    separator: str = "|"


@dataclass(frozen=True)
class Roles:
    """The columns that make a log; None where none looks like it."""

    user: str | None
    item: str | None
    time: str | None


def guess_kind(column: str, values: Sequence[str]) -> Guess:
    """The kind of a column by its values; empty ones say nothing."""
    said = [value.strip() for value in values if value.strip()]
    if not said:
        return Guess(column, "category", "always empty")
    return _moment(column, said) or _numeric(column, said) or _bag(column, said) or _worded(column, said)


def _moment(column: str, said: Sequence[str]) -> Guess | None:
    if _share(map(_is_date, said), said) >= SURE:
        return Guess(column, "time", f"dates, such as {said[0]}")
    low, high = EPOCH_S
    seconds = (low <= (_number(value) or 0.0) < high for value in said)
    if _TIME.search(column) and _share(seconds, said) >= SURE:
        return Guess(column, "time", "seconds since 1970")
    return None


def _numeric(column: str, said: Sequence[str]) -> Guess | None:
    distinct = len(set(said))
    is_number = _share((_number(value) is not None for value in said), said) >= SURE
    if is_number and distinct > FEW and not _ID.search(column):
        return Guess(column, "number", f"{distinct:,} distinct numbers")
    return None


def _bag(column: str, said: Sequence[str]) -> Guess | None:
    for separator in SEPARATORS:
        parts = {part for value in said for part in value.split(separator)}
        is_split = _share((separator in value for value in said), said) >= OFTEN
        if is_split and len(parts) < len(set(said)) and not any(part.startswith(" ") for part in parts):
            return Guess(column, "bag", f"{len(parts):,} entries, parted by {separator!r}", separator)
    return None


def _worded(column: str, said: Sequence[str]) -> Guess:
    distinct, mean = len(set(said)), sum(len(words(value)) for value in said) / len(said)
    if mean >= TEXT_WORDS and distinct > FEW:
        return Guess(column, "text", f"{mean:.1f} words on average")
    return Guess(column, "category", f"{distinct:,} distinct values")


def guess_roles(table: Table, guesses: Sequence[Guess]) -> Roles:
    """Find user, item and time by the columns' names; of several the one with most distinct values."""

    def named(pattern: re.Pattern[str], kinds: Sequence[Kind], but: Sequence[str | None] = ()) -> str | None:
        fit = [
            one.column
            for one in guesses
            if one.kind in kinds and pattern.search(one.column) and one.column not in but
        ]
        return max(fit, key=lambda column: (bool(_ID.search(column)), len(set(table[column]))), default=None)

    times = [one.column for one in guesses if one.kind == "time"]
    user = named(_USER, ("category", "number"))
    item = named(_ITEM, ("category", "number"), but=(user,))
    return Roles(user, item, times[0] if times else None)


def guess_side(table: Table, column: str, roles: Roles) -> tuple[Side | None, str]:
    """Whose feature a column is: the side for which it hardly changes from row to row; and why."""
    steady = {
        side: _steadiness(table[key], table[column])
        for side, key in (("item", roles.item), ("user", roles.user))  # the first where both are as steady
        if key is not None
    }
    side = max(steady, key=lambda one: steady[one], default=None)
    if side is None or steady[side] < STEADY:
        return None, "it changes from row to row of a user and of an item alike"
    return ("user" if side == "user" else "item"), f"the same in {steady[side]:.0%} of each {side}'s rows"


def _steadiness(keys: Sequence[str], values: Sequence[str]) -> float:
    """Share of the rows that hold their key's most frequent value; keys seen once say nothing."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for key, value in zip(keys, values, strict=True):
        if key and value:
            seen[key][value] += 1
    often = [counts for counts in seen.values() if counts.total() > 1]
    rows = sum(counts.total() for counts in often)
    return sum(max(counts.values()) for counts in often) / rows if rows else 0.0


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None


def _is_date(value: str) -> bool:
    if _number(value) is not None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _share(hits: Iterable[bool], values: Sequence[str]) -> float:
    return sum(hits) / len(values)
