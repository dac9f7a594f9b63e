"""How old the entries of a history are, and which of them are the newest.

    times -> ages before the newest entry; order, newest first

What cannot be right decides nothing: a date after `now` does not make all others old, and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from bundle.values import DAY_S

AHEAD_S = DAY_S  # of `now`, that a time may be: clocks differ, and local times are sent as UTC


@dataclass(frozen=True, slots=True)
class Ages:
    """When the entries of a history happened, by place.

    Attributes:
        days: before the newest entry; 0 if it holds no time at all.
        order: places, the newest first; where ages are equal, as they were given.
        undated: places of entries without a time among others that have one.
        future: places of entries with a time after `now`.
    """

    days: Sequence[float]
    order: Sequence[int]
    undated: Sequence[int] = ()
    future: Sequence[int] = ()


def ages_of(times: Sequence[float | None], now: float | None) -> Ages:
    """Read the times of a history's entries, unix seconds.

    An entry without a time is as old as the one before it, and one before all others that have a time is
    as old as the first of these. An entry more than AHEAD_S after `now` is as old as the newest of the
    others. Without `now` no time is too late.
    """
    places = range(len(times))
    dated = [time for time in times if time is not None]
    if not dated:
        return Ages([0.0] * len(times), places)
    newest, future = max(dated), list[int]()
    if now is not None and newest > now + AHEAD_S:
        future = [place for place, time in enumerate(times) if time is not None and time > now + AHEAD_S]
        newest = max((time for time in dated if time <= now + AHEAD_S), default=min(dated))
    undated = [place for place, time in enumerate(times) if time is None] if len(dated) < len(times) else []
    filled = _filled(times, dated[0]) if undated else dated
    days = [(newest - time) / DAY_S for time in filled]
    if future:
        days = [max(0.0, age) for age in days]
    is_in_order = all(age <= older for age, older in pairwise(days))
    order = places if is_in_order else sorted(places, key=days.__getitem__)
    return Ages(days, order, undated, future)


def _filled(times: Sequence[float | None], first: float) -> list[float]:
    """Every time, or else the one before it."""
    filled, last = list[float](), first
    for time in times:
        last = last if time is None else time
        filled.append(last)
    return filled
