"""JSON values, checked: strings, finite numbers and moments.

Each function gives the value or raises `BadValueError`, whose message never repeats it. `number_in` is for
files, which belong to whoever reads them, and does.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

DAY_S = 86_400.0
OLDEST_S, NEWEST_S = -62_135_596_800.0, 253_402_300_800.0  # years 1 to 9999, as ISO 8601 has them


class BadValueError(Exception):
    """A value of the wrong type or range; becomes an InputError that knows the item."""

    def __init__(self, message: str, path: str = "", code: str = "wrong_type") -> None:
        self.message, self.path, self.code = message, path, code


def unix_time(value: Any, path: str = "") -> float:
    """Seconds since 1970 from a number of seconds or an ISO 8601 string (UTC unless it says otherwise)."""
    if type(value) is float and OLDEST_S <= value < NEWEST_S:  # nearly always
        return value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadValueError("not an ISO 8601 time, for example 2011-11-02T09:30:00Z", path) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadValueError(f"expected an ISO 8601 time or seconds since 1970, got {json_type(value)}", path)
    seconds = number_of(value, path)
    if not OLDEST_S <= seconds < NEWEST_S:
        raise BadValueError(
            "expected seconds since 1970, in years 1 to 9999; were milliseconds sent?", path, "out_of_range"
        )
    return seconds


def string_of(value: Any, path: str = "") -> str:
    if not isinstance(value, str):
        raise BadValueError(f"expected a string, got {json_type(value)}", path)
    return value


def id_of(value: Any, path: str = "") -> str:
    """An entry of a vocabulary: a string, or an integer, which means its decimal text.

    Databases number what vocabularies name, so 1001 is "1001". A float is not: 1001.0 may be a rounded id.
    """
    if type(value) is str:
        return value
    if type(value) is int:  # no boolean
        return str(value)
    got = "a float, as 1.0 and 1e3 are" if type(value) is float else json_type(value)
    raise BadValueError(f"expected a string or an integer, got {got}", path)


def number_of(value: Any, path: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadValueError(f"expected a number, got {json_type(value)}", path)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadValueError("expected a finite number", path, "not_finite")
    return number


def nearest(name: Any, names: Iterable[str]) -> str:
    """A question for a message, whether the nearest of the names was meant; empty if none is near."""
    found = difflib.get_close_matches(str(name)[:64].lower(), names, n=1, cutoff=0.5)
    return f"did you mean {found[0]!r}? " if found else ""


_JSON_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def json_type(value: Any) -> str:
    """What a JSON value is, for messages."""
    return _JSON_TYPES.get(type(value), "something else")


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", re.ASCII)


def number_in(text: str) -> float:
    """The finite number that a text is, in ASCII digits with a decimal point.

    Python's `float` alone would take "nan", "1_000" and digits of every script. Raises ValueError.
    """
    if _NUMBER.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
        raise ValueError(f"{_short(text)} is beyond the range of numbers")
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise ValueError(f"{_short(text)} is no finite number; leave it empty if it is missing")
    if _THOUSANDS.fullmatch(text):
        raise ValueError(f"{_short(text)} is no number: leave out the commas")
    if "," in text and _NUMBER.fullmatch(text.replace(",", ".", 1)):
        raise ValueError(f"{_short(text)} is no number: write the decimals after a point, not a comma")
    if "_" in text and _NUMBER.fullmatch(text.replace("_", "")):
        raise ValueError(f"{_short(text)} is no number: leave out the underscores")
    raise ValueError(f"{_short(text)} is no number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
