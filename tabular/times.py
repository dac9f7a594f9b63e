"""The times of a column, in one notation: which one, and what it means, the column as a whole decides.

    seen one by one -> raw numbers, kept by the caller -> seconds since 1970, when all were seen

`11/12/2023` alone may be of two months, and 1700000000000 may be seconds of the year 55,840: other values of
the column, and the years that serving takes (`bundle.values`), tell which. A column that mixes notations, or
leaves the question open, is refused; dates that can be read in one way only (`tabular.written`) may mix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.values import DAY_S, NEWEST_S, OLDEST_S, number_in
from tabular.rows import cut
from tabular.written import clock_s, is_date, unix, written

Floats: TypeAlias = npt.NDArray[np.float64]
Notation: TypeAlias = Literal[
    "seconds",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "year",
    "YYYYMMDD",
    "ISO 8601",
    "month by name",
    "day/month/year",
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
_YEAR = re.compile(r"(1[89]|2[01])\d\d", re.ASCII)
_PARTED = re.compile(r"(\d{1,2})([/.-])(\d{1,2})\2(\d{4})(?:,?[ T]+(.+))?", re.ASCII)
_ONE_WAY: frozenset[Notation] = frozenset({"ISO 8601", "month by name"})  # they may mix


@dataclass
class TimeColumn:
    """Sees every time of a column before it says what any of them is.

    Attributes:
        day_first: what 11/12/2023 begins with; None is whatever the column's other values allow.
        seen: each notation that came, with the place and the text of the first.
        small: the first number that is of any unit, since it is near 1970 in each.
        year: the first such number that may be a year alone; if all may, they are.
        impossible: order of day and month (True: the day first) to a value that has none such.
    """

    day_first: bool | None = None
    seen: dict[Notation, str] = field(default_factory=dict)
    small: str = ""
    year: str = ""
    impossible: dict[bool, str] = field(default_factory=dict)

    def raw(self, value: Any, place: str = "") -> float:
        """A number to keep until `seconds` can say what it is. Raises ValueError with a sentence."""
        if isinstance(value, datetime):
            return self._noted("ISO 8601", _checked(unix(value), str(value)), place, str(value))
        text = str(value).strip()
        if not text:
            raise ValueError("the time is missing")
        if _EIGHT_DIGITS.fullmatch(text) and is_date(int(text[:4]), int(text[4:6]), int(text[6:])):
            return self._noted("YYYYMMDD", float(text), place, text)
        if _NUMBER.fullmatch(text):
            return self._number(number_in(text), text, place)
        if parted := _PARTED.fullmatch(text):
            return self._parted(parted, text, place)
        seconds = _checked(written(text.removesuffix(" UTC")), text)
        return self._noted("ISO 8601" if text[:4].isdigit() else "month by name", seconds, place, text)

    def seconds(self, raw: Floats) -> Floats:
        """Seconds since 1970, float64 [n], of raw numbers [n]. Raises ValueError with a sentence."""
        notation = self._notation()
        if notation == "day/month/year":
            return _of_parted(raw, day_first=self._is_day_first())
        if notation == "YYYYMMDD":
            return _of_eight_digits(raw)
        if notation == "year":
            first = np.ones(len(raw), dtype=np.int64)
            return _unix_days(raw.astype(np.int64), first, first) * DAY_S
        return raw / _UNITS[notation][1] if notation in _UNITS else raw

    def described(self) -> str:
        """The notation, for a report."""
        notation = self._notation()
        if notation == "day/month/year":
            return "day/month/year" if self._is_day_first() else "month/day/year"
        if notation in _ONE_WAY:
            return " and ".join(self.seen)
        return f"{notation} since 1970" if notation in _UNITS else notation

    def _notation(self) -> Notation:
        """The one that all have. Raises ValueError."""
        found = {str(notation): text for notation, text in self.seen.items()}
        if not found.keys() & _UNITS:  # otherwise small numbers are of the unit of the others
            if self.small:
                found = {"a small number": self.small} | found
            elif self.year and not found:
                return "year"
            elif self.year:
                found = {"a year": self.year} | found
        if len(found) > 1 and not found.keys() <= _ONE_WAY:
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
        if _YEAR.fullmatch(text):
            self.year = self.year or _told(text, place)
        else:
            self.small = self.small or _told(text, place)
        return number

    def _parted(self, parted: re.Match[str], text: str, place: str) -> float:
        first, sign, second, year, clock = parted.groups()
        day_s = clock_s(clock, text)
        orders = {True: (second, first), False: (first, second)}
        dates = [order for order, (month, day) in orders.items() if is_date(int(year), int(month), int(day))]
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


def _checked(seconds: float, text: str) -> float:
    if not OLDEST_S <= seconds < NEWEST_S:
        raise ValueError(f"{cut(text, 40)!r} is not in the years that can be: {_years()}")
    return seconds


def _years() -> str:
    """The bounds of serving, in words; the first moment of the year after is out."""
    first, after = (date(1970, 1, 1).toordinal() + int(bound // DAY_S) for bound in (OLDEST_S, NEWEST_S))
    return f"{date.fromordinal(first).year} to {date.fromordinal(after - 1).year}"


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
