"""The times of a column, in one notation: which one, and what it means, the column as a whole decides.

    seen one by one -> raw numbers, kept by the caller -> seconds since 1970, when all were seen

`11/12/2023` alone may be of two months, and 1700000000000 may be seconds of the year 55,840: other values of
the column, and the years that serving takes (`bundle.values`), tell which. A column that mixes notations, or
leaves the question open, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.values import DAY_S, NEWEST_S, OLDEST_S, number_in
from tabular.rows import cut

Floats: TypeAlias = npt.NDArray[np.float64]
Notation: TypeAlias = Literal[
    "seconds", "milliseconds", "microseconds", "nanoseconds", "YYYYMMDD", "ISO 8601", "day/month/year"
]

# Numbers at least so large are of that unit: seconds from 5138 on, milliseconds from 1973 on, and so on.
_UNITS: Mapping[Notation, tuple[float, float]] = {  # unit -> its least number, parts of a second
    "nanoseconds": (1e17, 1e9),
    "microseconds": (1e14, 1e6),
    "milliseconds": (1e11, 1e3),
    "seconds": (1e8, 1.0),
}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_EIGHT_DIGITS = re.compile(r"(1[89]|2[01])\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", re.ASCII)
_PARTED = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:,?[ T]+(.+))?", re.ASCII)
_YEAR_FIRST = re.compile(r"\d{4}([/.])\d{1,2}\1\d{1,2}(?=\D|$)", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?(?:\s*([ap])\.?m\.?)?", re.ASCII | re.IGNORECASE)
_FORMS = "ISO 8601 (2011-11-02 09:30), seconds since 1970 or 11/14/2023 22:13"


@dataclass
class TimeColumn:
    """Sees every time of a column before it says what any of them is.

    Attributes:
        day_first: what 11/12/2023 begins with; None is whatever the column's other values allow.
        seen: each notation that came, with the place and the text of the first.
        small: the first number that is of any unit, since it is near 1970 in each.
        impossible: order of day and month (True: the day first) to a value that has none such.
    """

    day_first: bool | None = None
    seen: dict[Notation, str] = field(default_factory=dict)
    small: str = ""
    impossible: dict[bool, str] = field(default_factory=dict)

    def raw(self, value: Any, place: str = "") -> float:
        """A number to keep until `seconds` can say what it is. Raises ValueError with a sentence."""
        if isinstance(value, datetime):
            return self._noted("ISO 8601", _checked(_unix(value), str(value)), place, str(value))
        text = str(value).strip()
        if not text:
            raise ValueError("the time is missing")
        if _EIGHT_DIGITS.fullmatch(text) and _is_date(int(text[:4]), int(text[4:6]), int(text[6:])):
            return self._noted("YYYYMMDD", float(text), place, text)
        if _NUMBER.fullmatch(text):
            return self._number(number_in(text), text, place)
        if parted := _PARTED.fullmatch(text):
            return self._parted(parted, text, place)
        return self._noted("ISO 8601", _checked(_iso(text), text), place, text)

    def seconds(self, raw: Floats) -> Floats:
        """Seconds since 1970, float64 [n], of raw numbers [n]. Raises ValueError with a sentence."""
        notation = self._notation()
        if notation == "day/month/year":
            return _of_parted(raw, day_first=self._is_day_first())
        if notation == "YYYYMMDD":
            return _of_eight_digits(raw)
        return raw / _UNITS[notation][1] if notation in _UNITS else raw

    def described(self) -> str:
        """The notation, for a report."""
        notation = self._notation()
        if notation == "day/month/year":
            return "day/month/year" if self._is_day_first() else "month/day/year"
        return f"{notation} since 1970" if notation in _UNITS else notation

    def _notation(self) -> Notation:
        """The one that all have. Raises ValueError."""
        found = {str(notation): text for notation, text in self.seen.items()}
        if self.small and not found.keys() & _UNITS:
            found = {"a small number": self.small} | found
        if len(found) > 1:
            (first, one), (second, other) = list(found.items())[:2]
            raise ValueError(f"{one} is {first}, and {other} is {second}; write all in one notation")
        return next(iter(self.seen), "seconds")

    def _noted(self, notation: Notation, raw: float, place: str, text: str) -> float:
        if notation not in self.seen:
            self.seen[notation] = _told(text, place)
        return raw

    def _number(self, number: float, text: str, place: str) -> float:
        """Numbers below all units, of the first hours and years after 1970, go with any of them."""
        for unit, (least, parts) in _UNITS.items():
            if abs(number) >= least:
                _checked(number / parts, text)
                return self._noted(unit, number, place, text)
        self.small = self.small or _told(text, place)
        return number

    def _parted(self, parted: re.Match[str], text: str, place: str) -> float:
        first, sign, second, year, clock = parted.groups()
        day_s = _clock_s(clock, text)
        orders = {True: (second, first), False: (first, second)}
        dates = [order for order, (month, day) in orders.items() if _is_date(int(year), int(month), int(day))]
        if sign == "." and dates:  # 14.11.2023 is written with the day first, whatever else could be
            dates = [True] if True in dates else dates
        if not dates:
            raise ValueError(f"{cut(text, 40)!r} is no date, by day/month/year or month/day/year")
        for order in orders.keys() - set(dates):
            self.impossible.setdefault(order, _told(text, place))
        number = (int(year) * 100 + int(first)) * 100 + int(second)
        return self._noted("day/month/year", number * DAY_S + day_s, place, text)

    def _is_day_first(self) -> bool:
        """Whether the day comes first. Raises ValueError where that is open, or impossible."""
        possible = [order for order in (True, False) if order not in self.impossible]
        if self.day_first is not None:
            possible = [order for order in possible if order == self.day_first]
        if len(possible) == 1:
            return possible[0]
        if possible:
            raise ValueError(
                f"{self.seen['day/month/year']} and all others may begin with the day or the month; "
                "say which by day_first = true or false"
            )
        if self.day_first is not None:
            told = self.impossible[self.day_first]
            raise ValueError(f"{told} cannot be read with day_first = {str(self.day_first).lower()}")
        first = f"{self.impossible[True]} begins with the month"
        raise ValueError(f"{first}, {self.impossible[False]} with the day; write ISO 8601")


def _told(text: str, place: str) -> str:
    return f"{cut(text, 40)!r}" + (f" ({place})" if place else "")


def _iso(text: str) -> float:
    text = text.removesuffix(" UTC")
    if _YEAR_FIRST.match(text):  # 2023/11/14, as some tools write ISO's dates
        year, month, *rest = re.split(r"[/.]", text, maxsplit=2)
        day = re.match(r"\d+", rest[0])
        assert day is not None  # the pattern has seen to it
        text = f"{year}-{int(month):02}-{int(day[0]):02}{rest[0][day.end() :]}"
    try:
        return _unix(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{cut(text, 40)!r} is no time; use {_FORMS}") from None


def _unix(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _checked(seconds: float, text: str) -> float:
    if not OLDEST_S <= seconds < NEWEST_S:
        raise ValueError(f"{cut(text, 40)!r} is not in the years that can be: {_years()}")
    return seconds


def _years() -> str:
    """The bounds of serving, in words; the first moment of the year after is out."""
    first, after = (date(1970, 1, 1).toordinal() + int(bound // DAY_S) for bound in (OLDEST_S, NEWEST_S))
    return f"{date.fromordinal(first).year} to {date.fromordinal(after - 1).year}"


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _clock_s(clock: str | None, text: str) -> float:
    """Seconds since midnight of 22:13, 22:13:05 or 10:13 PM."""
    if clock is None:
        return 0.0
    found = _CLOCK.fullmatch(clock.strip())
    hours, minutes, seconds = (float(found[part] or 0) for part in (1, 2, 3)) if found else (99.0, 0.0, 0.0)
    if found and found[4]:
        hours = hours % 12 + (12 if found[4].lower() == "p" else 0) if 1 <= hours <= 12 else 99.0
    if hours >= 24 or minutes >= 60 or seconds >= 60:
        raise ValueError(f"{cut(text, 40)!r} has no such time of day; use {_FORMS}")
    return hours * 3600 + minutes * 60 + seconds


def _of_parted(raw: Floats, *, day_first: bool) -> Floats:
    numbers, clock_s = np.divmod(raw, DAY_S)
    whole = numbers.astype(np.int64)
    year, first, second = whole // 10_000, whole // 100 % 100, whole % 100
    return _unix_days(year, second if day_first else first, first if day_first else second) * DAY_S + clock_s


def _of_eight_digits(raw: Floats) -> Floats:
    whole = raw.astype(np.int64)
    return _unix_days(whole // 10_000, whole // 100 % 100, whole % 100) * DAY_S


def _unix_days(
    year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.int64]
) -> Floats:
    """Days since 1970, float64 [n]."""
    months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    return (months.astype("datetime64[D]") + (day - 1)).astype(np.int64).astype(np.float64)
