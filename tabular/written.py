"""One moment as people and programs write it, in the forms that can be read in one way only.

    2023-11-14T22:13Z    2023/1/5 9:30    2023-11    Nov 14, 2023 10:13 PM    Tue, 14 Nov 2023 22:13:00 GMT

That is ISO 8601, dates with the year first, and dates that name the month in English, in either order, as in
RFC 5322 (mail), HTTP and asctime. `11/12/2023` is not among them: `tabular.times`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from bundle.values import DAY_S
from tabular.rows import cut

FORMS = "ISO 8601 (2011-11-02 09:30), Nov 14, 2023, seconds since 1970 or 11/14/2023 22:13"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WHOLE = (
    "january|february|march|april|may|june|july|august|september|october|november|december|sept|"
    + "|".join(_MONTHS)
)
_WEEKDAY = r"(?:(?:mon|tue|tues|wed|wednes|thu|thur|thurs|fri|sat|satur|sun)(?:day)?\.?,? +)?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_MONTH = rf"(?P<month>{_WHOLE})\.?"
_YEAR = r"(?P<year>\d{4})"
_REST = r"(?:(?:,? +at|,)? +(?P<rest>.+))?"
_LATER = r"(?:(?:T|,? +)(?P<rest>.+))?"
_FORMS = [
    re.compile(form, re.ASCII | re.IGNORECASE)
    for form in (
        rf"{_YEAR}(?P<sign>[/.-])(?P<number>\d{{1,2}})(?:(?P=sign)(?P<day>\d{{1,2}}){_LATER})?",
        rf"{_WEEKDAY}{_DAY}(?: +|-){_MONTH}(?:,? +|-){_YEAR}{_REST}",
        rf"{_WEEKDAY}{_MONTH} +{_DAY},? +{_YEAR}{_REST}",
        rf"{_WEEKDAY}{_MONTH} +{_DAY} +(?P<rest>[\d:.]+(?: +[+-]\d{{4}}| +UTC| +GMT)?) +{_YEAR}",
    )
]
_CLOCK = re.compile(
    r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?(?:\s*([ap])\.?m\.?)?(?:\s*(UTC|GMT|Z|[+-]\d\d:?\d\d))?",
    re.ASCII | re.IGNORECASE,
)


def written(text: str) -> float:
    """Seconds since 1970 of a moment, in UTC where it says no other zone. Raises ValueError."""
    try:
        return unix(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    for form in _FORMS:
        if found := form.fullmatch(text):
            parts = found.groupdict()
            named = parts.get("month")
            month = _MONTHS.index(named[:3].lower()) + 1 if named else int(parts["number"])
            if not is_date(int(parts["year"]), month, int(parts["day"] or 1)):
                raise ValueError(f"{cut(text, 40)!r} is no time: there is no such day")
            day = datetime(int(parts["year"]), month, int(parts["day"] or 1), tzinfo=UTC)
            return day.timestamp() + clock_s(parts["rest"], text)
    raise ValueError(f"{cut(text, 40)!r} is no time; use {FORMS}")


def unix(moment: datetime) -> float:
    """Seconds since 1970; a moment that says no zone is in UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def clock_s(clock: str | None, text: str) -> float:
    """Seconds from midnight in UTC to 22:13, 22:13:05, 10:13 PM or 22:13 +01:00; 0 for none.

    Raises:
        ValueError: there is no such time of day; names the whole `text`.
    """
    if clock is None:
        return 0.0
    found = _CLOCK.fullmatch(clock.strip())
    hours, minutes, seconds = (float(found[part] or 0) for part in (1, 2, 3)) if found else (99.0, 0.0, 0.0)
    if found and found[4]:
        hours = hours % 12 + (12 if found[4].lower() == "p" else 0) if 1 <= hours <= 12 else 99.0
    ahead_s = _ahead_s(found[5]) if found else 0.0
    if hours >= 24 or minutes >= 60 or seconds >= 60 or abs(ahead_s) >= DAY_S:
        raise ValueError(f"{cut(text, 40)!r} has no such time of day; use {FORMS}")
    return hours * 3600 + minutes * 60 + seconds - ahead_s


def _ahead_s(zone: str | None) -> float:
    """Seconds that a zone is ahead of UTC."""
    if zone is None or zone[0] not in "+-":
        return 0.0
    seconds = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
    return float(-seconds if zone[0] == "-" else seconds)
