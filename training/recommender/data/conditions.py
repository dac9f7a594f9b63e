"""Which rows of a log mean that something was taken: conditions proposed for `data.where`, with reasons.

A rating of 2 out of 10, a returned good or a page that was only seen are rows of a log, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tabular.ids import MARKS_OF_NOTHING
from training.recommender.data.columns import Table
from training.recommender.data.roles import Roles, guess_side, numbers_in, tokens

RATING = frozenset({"rating", "rate", "score", "star", "grade", "point", "review", "overall", "liking"})
LIKES = frozenset({"preference", "like", "liked", "ratings", "stars", "points"})
EVENT = frozenset({"event", "action", "behavior", "behaviour", "interaction", "type", "status"})
MOST_LEVELS = 101  # of a rating: 0 to 10 by tenths, or percent
LIKED = 0.7  # of the best level: 3.5 of 5, 7 of 10
KEPT = 0.2  # share of the rows that a condition leaves at least
SPOILED = 0.5  # share of negative values at most, for them to be corrections
EVENTS = 12  # kinds of events at most


class Condition(NamedTuple):
    """A condition and why; `is_sure` where it may stand without being asked."""

    text: str
    reason: str
    is_sure: bool = True


def propose(table: Table, roles: Roles) -> Iterator[Condition]:
    """Conditions on columns that change from row to row of a user and of an item."""
    for choice in (roles.user, roles.item):
        for mark in sorted(MARKS_OF_NOTHING & set(table[choice.column])):
            yield Condition(f"{choice.column} != {mark}", "it stands for a missing id")
    for column, values in table.items():
        if column in roles.columns:
            continue
        said = [value.strip() for value in values if value.strip()]
        side, _ = guess_side(table, column, roles)
        numbers = numbers_in(said)
        if numbers and side is None:
            yield from _of_numbers(column, numbers)
        elif numbers and set(tokens(column)) & {"price", "amount", "cost"}:
            yield from _positive(column, numbers)
        elif side is None and said and set(tokens(column)) & (EVENT | RATING | LIKES):
            yield from _of_events(column, said)


def _of_numbers(column: str, numbers: Sequence[float]) -> Iterator[Condition]:
    levels = sorted(set(numbers))
    if 2 <= len(levels) <= MOST_LEVELS and set(tokens(column)) & (RATING | LIKES):
        least = _liked(numbers, levels)
        share = sum(number >= least for number in numbers) / len(numbers)
        yield Condition(
            f"{column} >= {least:g}",
            f"{levels[0]:g} to {levels[-1]:g} in {len(levels)} levels; {share:.0%} of the rows are liked so",
        )
    else:
        yield from _positive(column, numbers)


def _liked(numbers: Sequence[float], levels: Sequence[float]) -> float:
    """The level from which a rating is a yes: 70 % of the best, lower where few reach that."""
    wanted = [level for level in levels if level >= LIKED * levels[-1]]
    for level in reversed([one for one in levels if one <= wanted[0]]):
        if sum(number >= level for number in numbers) >= KEPT * len(numbers):
            return level
    return levels[0]


def _positive(column: str, numbers: Sequence[float]) -> Iterator[Condition]:
    spoiled = sum(number <= 0 for number in numbers) / len(numbers)
    if 0 < spoiled <= SPOILED and (min(numbers) < 0 or set(tokens(column)) & {"price", "quantity", "qty"}):
        yield Condition(f"{column} > 0", f"{spoiled:.1%} are not above 0: returns or corrections")


def _of_events(column: str, said: Sequence[str]) -> Iterator[Condition]:
    counts = Counter(said)
    if 2 <= len(counts) <= EVENTS:
        shown = ", ".join(f"{name[:30]} {count / len(said):.0%}" for name, count in counts.most_common())
        yield Condition(
            f"{column} == {counts.most_common()[-1][0][:60]}",
            f"of {shown}: which of them count?",
            is_sure=False,
        )
