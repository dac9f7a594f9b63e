"""What one column of a file holds, guessed from its values, with the reason in words.

    values -> kind (time, number, bag, text, category) -> `training.recommender.data.roles`

A guess is for a person to edit, so it is simple and says why. Knows no config file: that is
`training.recommender.infer`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from bundle.preprocess.features.rows import entries_in
from bundle.preprocess.features.words import words
from bundle.values import number_in
from tabular import TimeColumn

Kind: TypeAlias = Literal["category", "bag", "text", "number", "time"]
Table: TypeAlias = Mapping[str, Sequence[str]]  # column -> its values, row by row

SURE = 0.99  # share of the values that must be of a kind; the others are bad rows
FEW = 20  # distinct numbers up to which they are taken for codes
TEXT_WORDS = 2.5  # words a value on average, from which it is text
SHORT_WORDS = 1.5  # likewise, where hardly a value comes twice and their words do: titles
SEPARATORS = ("|", ";", ",", "/")
OFTEN = 0.2  # share of the values with a separator, for it to be one
ENTRY_WORDS = 3.0  # words an entry of a bag has at most, on average: others are sentences with commas
TWINS = 0.1  # share of the distinct values that are another one but for case, from which case means nothing
LARGEST = 1e100  # of a feature's numbers: the square of one must be finite
RECENT_S = (788_918_400.0, 2_051_222_400.0)  # 1995 to 2035: plain numbers are moments between these only

_ID = re.compile(r"(?:^|[_\W])(id|code|no|nr|number|key|sku|uuid)$|(?<=[a-z])(Id|ID|Code|No|Number|Key)$|id$")
_YEAR = re.compile(r"(1[6-9]|20)\d\d", re.ASCII)


@dataclass(frozen=True)
class Guess:
    """A guess at what one column holds.

    Attributes:
        reason: in words, with the numbers it rests on.
        separator: between the entries of a bag.
        idle: why it can tell nothing, or "".
        folds_case: whether the case of letters seems to mean nothing.
    """

    column: str
    kind: Kind
    reason: str
    separator: str = "|"
    idle: str = ""
    folds_case: bool = False


def guess_kind(column: str, values: Sequence[str]) -> Guess:
    """The kind of a column by its values; empty ones say nothing."""
    said = [value.strip() for value in values if value.strip()]
    if not said:
        return Guess(column, "category", "always empty", idle="it is always empty")
    if len(set(said)) == 1:
        return Guess(column, "category", "one value", idle="it is the same in every row")
    return _moment(column, said) or _numeric(column, said) or _bag(column, said) or _worded(column, said)


def is_id(column: str) -> bool:
    """Whether a column is named as one of ids, codes or numbers of things."""
    return bool(_ID.search(column))


def case_twins(values: Iterable[str]) -> int:
    """How many of the distinct values are another one but for the case of letters."""
    distinct = set(values)
    return len(distinct) - len({value.upper() for value in distinct})


def folds_case(values: Iterable[str]) -> bool:
    """Whether so many are that people seem to have typed them."""
    distinct = set(values)
    return case_twins(distinct) >= TWINS * len(distinct) > 0


def _moment(column: str, said: Sequence[str]) -> Guess | None:
    times, raw = TimeColumn(), []
    for value in said:
        try:
            raw.append(times.raw(value))
        except ValueError:
            continue
    if len(raw) < SURE * len(said):
        return None
    try:
        seconds, notation = times.seconds(np.array(raw)), times.described()
    except ValueError as error:  # one notation, and open which
        return None if _share(map(_is_number, said), said) >= SURE else Guess(column, "time", str(error))
    if notation == "year":  # of a release, mostly: `roles` takes one for the time where there is no other
        return None
    is_plain = notation.endswith("since 1970")
    if is_plain and not (RECENT_S[0] <= seconds.min() and seconds.max() < RECENT_S[1]):
        return None
    return Guess(column, "time", f"times ({notation}), such as {said[0][:30]}")


def is_time(value: str) -> bool:
    """Whether one value is a moment in some notation."""
    try:
        TimeColumn().raw(value)
    except ValueError:
        return False
    return True


def are_years(values: Sequence[str]) -> bool:
    """Whether all values are years alone; empty ones say nothing."""
    said = [value.strip() for value in values if value.strip()]
    return bool(said) and all(map(_YEAR.fullmatch, said))


def _numeric(column: str, said: Sequence[str]) -> Guess | None:
    distinct = len(set(said))
    if _share(map(_is_number, said), said) < SURE or distinct <= FEW or is_id(column):
        return None
    if max(abs(float(value)) for value in said if _is_number(value)) > LARGEST:
        return Guess(column, "category", "huge numbers", idle=f"it has numbers above {LARGEST:g}")
    if are_years(said[:1000]):
        return Guess(column, "number", f"{distinct:,} distinct years")
    return Guess(column, "number", f"{distinct:,} distinct numbers")


def _bag(column: str, said: Sequence[str]) -> Guess | None:
    lists = [entries for value in said if value.startswith("[") and (entries := _listed(value)) is not None]
    if len(lists) >= SURE * len(said):
        count = len({str(entry) for entries in lists for entry in entries})
        return Guess(column, "bag", f"{count:,} entries, in lists such as {said[0][:30]}")
    for separator in SEPARATORS:
        if _share((separator in value for value in said), said) < OFTEN:
            continue
        parts = [part.strip() for value in said for part in value.split(separator) if part.strip()]
        distinct = set(parts)
        is_short = sum(len(words(part)) for part in distinct) <= ENTRY_WORDS * len(distinct)
        if is_short and len(distinct) < min(len(set(said)), len(parts) / 2):
            reason = f"{len(distinct):,} entries, parted by {separator!r}"
            return Guess(column, "bag", reason, separator, folds_case=folds_case(distinct))
    return None


def _listed(text: str) -> list[Any] | None:
    try:
        return entries_in(text)
    except ValueError:
        return None


def _worded(column: str, said: Sequence[str]) -> Guess:
    if _share((value.startswith(("http://", "https://", "www.")) for value in said), said) >= OFTEN:
        return Guess(column, "category", "web addresses", idle="web addresses say little")
    read = [words(value) for value in said]
    distinct, mean = len(set(said)), sum(map(len, read)) / len(said)
    if mean >= TEXT_WORDS and distinct > FEW:
        return Guess(column, "text", f"{mean:.1f} words on average")
    shared = len({word for value in read for word in value}) < distinct
    if mean >= SHORT_WORDS and distinct > max(FEW, 0.5 * len(said)) and shared:
        return Guess(column, "text", f"{mean:.1f} words on average, which values share")
    idle = "hardly any value comes twice" if distinct > FEW and distinct > 0.9 * len(said) else ""
    return Guess(column, "category", f"{distinct:,} distinct values", idle=idle, folds_case=folds_case(said))


def _is_number(value: str) -> bool:
    try:
        number_in(value)
    except ValueError:
        return False
    return True


def _share(hits: Iterable[bool], values: Sequence[str]) -> float:
    return sum(hits) / len(values)
