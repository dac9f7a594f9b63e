"""Raw features of users and items to the tensors of a tower. One small class per kind of feature.

A missing value and an unknown value are different things: missing (absent or null) is normal and has
an index of its own; unknown (not seen in training) is encoded as unknown and reported. An unknown
field or a value of the wrong type is the caller's mistake and is refused.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.inputs import Features, Input
from bundle.preprocess import schema as specs
from bundle.preprocess.base import Arrays, Cut, Facts, Kind, Prepared, Truncate, pad
from bundle.preprocess.schema import FIRST, MISSING, PAD, UNKNOWN, FeatureSchema, input_names
from bundle.preprocess.words import words

DAY_S = 86_400.0
OLDEST_S, NEWEST_S = -62_135_596_800.0, 253_402_300_800.0  # years 1 to 9999, as ISO 8601 has them


class _BadValueError(Exception):
    """A value of the wrong type or range; becomes an InputError that knows the item."""

    def __init__(self, message: str, path: str = "", code: str = "wrong_type") -> None:
        self.message, self.path, self.code = message, path, code


class _Noted:
    """Collects the facts of one input while its features are read."""

    def __init__(self, now: float | None) -> None:
        self.now = now
        self.truncated: list[Cut] = []
        self.unknown: dict[str, None] = {}  # a dict, to keep the order of the schema
        self.empty_history = False


class _Feature(Protocol):
    """Reads one declared feature."""

    name: str

    def arrays(self, value: Any, noted: _Noted) -> Arrays:
        """Arrays of one input; `value` is None when missing. Raises _BadValueError."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        ...


class _Category:
    def __init__(self, spec: specs.CategorySpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, _index(spec.vocabulary)

    def arrays(self, value: Any, noted: _Noted) -> Arrays:
        if value is None:
            return {self.name: np.array([MISSING], dtype=np.int64)}
        index = self._index.get(_string(value), UNKNOWN)
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

    def arrays(self, value: Any, noted: _Noted) -> Arrays:
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
            return words(_string(value))
        if not isinstance(value, (list, tuple)):
            raise _BadValueError(f"expected a list of strings, got {_kind_of(value)}")
        return [_string(entry, f"[{position}]") for position, entry in enumerate(value)]

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

    def arrays(self, value: Any, noted: _Noted) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        number = _number(value)
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

    def arrays(self, value: Any, noted: _Noted) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        moment = unix_time(value)
        if noted.now is None:
            raise _BadValueError('a time needs the request\'s "now"; send it', code="missing_now")
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

    def arrays(self, value: Any, noted: _Noted) -> Arrays:
        if value is not None and not isinstance(value, (list, tuple)):
            raise _BadValueError(f"expected a list of item ids, newest first, got {_kind_of(value)}")
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
            return _string(entry, path), None
        if not isinstance(entry, Mapping):
            raise _BadValueError(
                f'expected an item id or an object with "id" and "time", got {_kind_of(entry)}', path
            )
        for key in entry:
            if key not in ("id", "time"):
                raise _BadValueError(
                    'a history entry has "id" and "time" and nothing else', path, "unknown_field"
                )
        if "id" not in entry:
            raise _BadValueError('"id" is missing', path, "missing_field")
        time = entry.get("time")
        return _string(entry["id"], f"{path}.id"), None if time is None else unix_time(time, f"{path}.time")

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


_KINDS: Mapping[str, Callable[[Any], _Feature]] = {
    "category": _Category,
    "bag": _Bag,
    "text": _Bag,
    "number": _Number,
    "time": _Time,
    "history": _History,
}


class FeaturePreprocessor:
    """Reads the features that a `FeatureSchema` declares.

    Args:
        schema: the declared features.
    """

    def __init__(self, schema: FeatureSchema) -> None:
        self.side = schema.side
        self._features = [_KINDS[spec.kind](spec) for spec in schema.features]
        self._names = {feature.name for feature in self._features}
        self.input_names = tuple(name for spec in schema.features for name in input_names(spec))

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        return [self._prepare_one(index, item) for index, item in enumerate(inputs)]

    def _prepare_one(self, index: int, item: Input) -> Prepared:
        if not isinstance(item, Features) or not isinstance(item.values, Mapping):
            raise InputError(index, "wrong_kind", "this model takes objects of features; send one")
        for field in item.values:
            if field not in self._names:
                raise InputError(index, "unknown_field", self._unknown_field(field))
        noted, arrays = _Noted(item.now), Arrays()
        for feature in self._features:
            try:
                arrays |= feature.arrays(item.values.get(feature.name), noted)
            except _BadValueError as bad:
                raise InputError(index, bad.code, bad.message, f".{feature.name}{bad.path}") from None
        facts = Facts(
            truncated=tuple(noted.truncated),
            unknown=tuple(noted.unknown),
            empty_history=noted.empty_history,
        )
        return Prepared(arrays, cost=1, facts=facts)

    def _unknown_field(self, field: Any) -> str:
        nearest = difflib.get_close_matches(str(field)[:64], self._names, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        return f"a field is not one of this model's; {hint}it takes: {', '.join(sorted(self._names))}"

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        return {name: pad([prepared.arrays[name] for prepared in batch]) for name in self.input_names}

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {feature.name: feature.schema() for feature in self._features},
            "additionalProperties": False,
        }

    def to_json(self, item: Input) -> Any:
        assert isinstance(item, Features), type(item)
        return dict(item.values)

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Features(value, now)


def unix_time(value: Any, path: str = "") -> float:
    """Seconds since 1970 from a number of seconds or an ISO 8601 string (UTC unless it says otherwise)."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _BadValueError("not an ISO 8601 time, for example 2011-11-02T09:30:00Z", path) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _BadValueError(f"expected an ISO 8601 time or seconds since 1970, got {_kind_of(value)}", path)
    seconds = _number(value, path)
    if not OLDEST_S <= seconds < NEWEST_S:
        raise _BadValueError(
            "expected seconds since 1970, in years 1 to 9999; were milliseconds sent?", path, "out_of_range"
        )
    return seconds


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


def _string(value: Any, path: str = "") -> str:
    if not isinstance(value, str):
        raise _BadValueError(f"expected a string, got {_kind_of(value)}", path)
    return value


def _number(value: Any, path: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _BadValueError(f"expected a number, got {_kind_of(value)}", path)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _BadValueError("expected a finite number", path, "not_finite")
    return number


_JSON_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _kind_of(value: Any) -> str:
    return _JSON_KINDS.get(type(value), "something else")


def _described(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _time_schema(description: str) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}],
        "description": _described(description, "ISO 8601, or seconds since 1970"),
    }


FEATURES = Kind(
    name="features",
    input_type=Features,
    noun="an object of features",
    file="features.json",
    version=1,
    load=lambda content, max_length: FeaturePreprocessor(FeatureSchema.from_bytes(content)),
)
