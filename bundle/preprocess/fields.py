"""One small class per kind of feature: a raw JSON value to the arrays of one graph input.

A missing value and an unknown value are different things: missing (absent or null) is normal and has
an index of its own; unknown (not seen in training) is encoded as unknown and reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bundle.preprocess import schema as specs
from bundle.preprocess.base import Arrays, Cut
from bundle.preprocess.schema import FIRST, MISSING, PAD, UNKNOWN
from bundle.preprocess.values import DAY_S, BadValueError, kind_of, number_of, string_of, unix_time
from bundle.preprocess.words import words


class Noted:
    """Collects the facts of one input while its features are read."""

    def __init__(self, now: float | None) -> None:
        self.now = now
        self.truncated: list[Cut] = []
        self.unknown: dict[str, None] = {}  # a dict, to keep the order of the schema
        self.empty_history = False


class FeatureField(Protocol):
    """Reads one declared feature."""

    name: str

    def arrays(self, value: Any, noted: Noted) -> Arrays:
        """Arrays of one input; `value` is None when missing. Raises BadValueError."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        ...


class _Category:
    def __init__(self, spec: specs.CategorySpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, _index(spec.vocabulary)

    def arrays(self, value: Any, noted: Noted) -> Arrays:
        if value is None:
            return {self.name: np.array([MISSING], dtype=np.int64)}
        index = self._index.get(string_of(value), UNKNOWN)
        if index == UNKNOWN:
            noted.unknown[self.name] = None
        return {self.name: np.array([index], dtype=np.int64)}

    def schema(self) -> dict[str, Any]:
        known = f"{len(self._index)} values are known"
        return {"type": ["string", "null"], "description": _described(self._spec.description, known)}


class _Bag:
    """Bags and texts: indices [k], empty for a missing value."""

    def __init__(self, spec: specs.BagSpec | specs.TextSpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, _index(spec.vocabulary)
        self._is_text = spec.kind == "text"

    def arrays(self, value: Any, noted: Noted) -> Arrays:
        entries = self._entries(value)
        limit = self._spec.max_length
        if len(entries) > limit:
            unit = "words" if self._is_text else "entries"
            noted.truncated.append(Cut(self.name, len(entries), limit, unit))
            entries = entries[:limit]
        found = [self._index.get(entry, UNKNOWN) for entry in entries]
        if UNKNOWN in found:
            noted.unknown[self.name] = None
        return {self.name: np.array(found or [MISSING], dtype=np.int64)}

    def _entries(self, value: Any) -> list[str]:
        if value is None:
            return []
        if self._is_text:
            return words(string_of(value))
        if not isinstance(value, (list, tuple)):
            raise BadValueError(f"expected a list of strings, got {kind_of(value)}")
        return [string_of(entry, f"[{position}]") for position, entry in enumerate(value)]

    def schema(self) -> dict[str, Any]:
        noun, limit = "words" if self._is_text else "values", self._spec.max_length
        known = f"{len(self._index)} {noun} are known; the first {limit} are read"
        described = {"description": _described(self._spec.description, known)}
        if self._is_text:
            return {"type": ["string", "null"]} | described
        return {"type": ["array", "null"], "items": {"type": "string"}} | described


class _Number:
    """[value, missing flag]; a missing value stands at the mean."""

    def __init__(self, spec: specs.NumberSpec) -> None:
        self.name = spec.name
        self._spec = spec

    def arrays(self, value: Any, noted: Noted) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        number = number_of(value)
        if self._spec.log1p:
            number = math.copysign(math.log1p(abs(number)), number)
        return {self.name: _standardised(number, self._spec)}

    def schema(self) -> dict[str, Any]:
        return {"type": ["number", "null"], "description": _described(self._spec.description)}


class _Time:
    """[log age in days, missing flag], the age counted back from the request's `now`."""

    def __init__(self, spec: specs.TimeSpec) -> None:
        self.name = spec.name
        self._spec = spec

    def arrays(self, value: Any, noted: Noted) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        moment = unix_time(value)
        if noted.now is None:
            raise BadValueError('a time needs the request\'s "now"; send it', code="missing_now")
        age_days = max(0.0, (noted.now - moment) / DAY_S)
        return {self.name: _standardised(math.log1p(age_days), self._spec)}

    def schema(self) -> dict[str, Any]:
        return _time_schema(self._spec.description)


class _History:
    """Known items only: `{name}` int64 [h] and `{name}_age` float32 [h], days since the newest entry.

    Unknown items are skipped and reported. An entry without a time is as old as the one before it.
    """

    def __init__(self, spec: specs.HistorySpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, _index(spec.vocabulary)

    def arrays(self, value: Any, noted: Noted) -> Arrays:
        if value is not None and not isinstance(value, (list, tuple)):
            raise BadValueError(f"expected a list of item ids, newest first, got {kind_of(value)}")
        entries = list(value or ())
        limit = self._spec.max_length
        if len(entries) > limit:
            noted.truncated.append(Cut(self.name, len(entries), limit, "entries"))
            entries = entries[:limit]
        parsed = [self._entry(entry, f"[{position}]") for position, entry in enumerate(entries)]
        ids = [self._index.get(item, UNKNOWN) for item, _ in parsed]
        if UNKNOWN in ids:
            noted.unknown[self.name] = None
        known = np.array([index != UNKNOWN for index in ids], dtype=bool)
        if not known.any():
            noted.empty_history = True
            return {self.name: np.array([PAD], np.int64), f"{self.name}_age": np.zeros(1, np.float32)}
        ages = _ages_days([moment for _, moment in parsed])
        return {self.name: np.array(ids, dtype=np.int64)[known], f"{self.name}_age": ages[known]}

    def _entry(self, entry: Any, path: str) -> tuple[str, float | None]:
        if isinstance(entry, str):
            return string_of(entry, path), None
        if not isinstance(entry, Mapping):
            raise BadValueError(
                f'expected an item id or an object with "id" and "time", got {kind_of(entry)}', path
            )
        for key in entry:
            if key not in ("id", "time"):
                raise BadValueError(
                    'a history entry has "id" and "time" and nothing else', path, "unknown_field"
                )
        if "id" not in entry:
            raise BadValueError('"id" is missing', path, "missing_field")
        time = entry.get("time")
        return string_of(entry["id"], f"{path}.id"), None if time is None else unix_time(time, f"{path}.time")

    def schema(self) -> dict[str, Any]:
        limit = self._spec.max_length
        known = f"newest first; {len(self._index)} items are known; the first {limit} entries are read"
        entry = {
            "type": "object",
            "properties": {"id": {"type": "string"}, "time": _time_schema("when it happened")},
            "required": ["id"],
            "additionalProperties": False,
        }
        return {
            "type": ["array", "null"],
            "items": {"anyOf": [{"type": "string"}, entry]},
            "description": _described(self._spec.description, known),
        }


FIELDS: Mapping[str, Callable[[Any], FeatureField]] = {
    "category": _Category,
    "bag": _Bag,
    "text": _Bag,
    "number": _Number,
    "time": _Time,
    "history": _History,
}


def _ages_days(times: Sequence[float | None]) -> npt.NDArray[np.float32]:
    """Days before the newest time given; an entry without a time takes its newer neighbour's age."""
    newest = max((time for time in times if time is not None), default=0.0)
    ages, age = np.zeros(len(times), dtype=np.float32), 0.0
    for position, time in enumerate(times):
        age = age if time is None else (newest - time) / DAY_S
        ages[position] = age
    return ages


def _standardised(number: float, spec: specs.NumberSpec | specs.TimeSpec) -> npt.NDArray[np.float32]:
    scaled = (number - spec.mean) / spec.std
    return np.array([min(max(scaled, -spec.clip), spec.clip), 0.0], dtype=np.float32)


def _index(vocabulary: Sequence[str]) -> dict[str, int]:
    return {entry: position for position, entry in enumerate(vocabulary, start=FIRST)}


def _described(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _time_schema(description: str) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}],
        "description": _described(description, "ISO 8601, or seconds since 1970"),
    }
