"""One small class per kind of feature: a raw JSON value to the arrays of one graph input.

Histories, which are made of items that have such features themselves, are in `history`.
A missing value and an unknown value are different things: missing (absent or null) is normal and has
an index of its own; unknown (not seen in training) is encoded as unknown and reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bundle.preprocess.base import Arrays
from bundle.preprocess.facts import Truncation
from bundle.preprocess.features import schema as specs
from bundle.preprocess.features.schema import FIRST, MISSING, UNKNOWN
from bundle.preprocess.features.words import bigrams, words
from bundle.values import DAY_S, BadValueError, id_of, json_type, number_of, string_of, unix_time

ID_TYPES, AS_TEXT = ("string", "integer"), "an integer is read as its decimal text"  # what `id_of` takes


class Findings:
    """Collects the facts of one input while its features are read."""

    def __init__(self, now: float | None) -> None:
        self.now = now
        self.truncated: list[Truncation] = []
        self.unknown: dict[str, None] = {}  # a dict, to keep the order of the schema
        self.new_entries: list[int] = []
        self.unknown_entries: list[int] = []
        self.empty_history = False


class FeatureField(Protocol):
    """Reads one declared feature."""

    name: str

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        """Arrays of one input; `value` is None when missing. Raises BadValueError."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        ...


class _Category:
    def __init__(self, spec: specs.CategorySpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, index_of(spec.vocabulary)

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        if value is None:
            return {self.name: np.array([MISSING], dtype=np.int64)}
        index = self._index.get(id_of(value), UNKNOWN)
        if index == UNKNOWN:
            findings.unknown[self.name] = None
        return {self.name: np.array([index], dtype=np.int64)}

    def schema(self) -> dict[str, Any]:
        known = f"{len(self._index)} values are known"
        return {"type": [*ID_TYPES, "null"], "description": described(self._spec.description, known, AS_TEXT)}


class _Bag:
    """Bags and texts: indices [k], empty for a missing value."""

    def __init__(self, spec: specs.BagSpec | specs.TextSpec) -> None:
        self.name = spec.name
        self._spec, self._index = spec, index_of(spec.vocabulary)
        self._is_text = spec.kind == "text"
        self._has_bigrams = spec.kind == "text" and spec.bigrams

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        entries = self._entries(value)
        limit = self._spec.max_length
        if len(entries) > limit:
            unit = "words" if self._is_text else "entries"
            findings.truncated.append(Truncation(self.name, len(entries), limit, unit))
            entries = entries[:limit]
        found = [self._index.get(entry, UNKNOWN) for entry in entries]
        if UNKNOWN in found:
            findings.unknown[self.name] = None
        if self._has_bigrams:
            found += [self._index[pair] for pair in bigrams(entries) if pair in self._index]
        return {self.name: np.array(found or [MISSING], dtype=np.int64)}

    def _entries(self, value: Any) -> list[str]:
        if value is None:
            return []
        if self._is_text:
            return words(string_of(value))
        if not isinstance(value, (list, tuple)):
            raise BadValueError(f"expected a list of strings, got {json_type(value)}")
        return [id_of(entry, f"[{position}]") for position, entry in enumerate(value)]

    def schema(self) -> dict[str, Any]:
        noun, limit = "words" if self._is_text else "values", self._spec.max_length
        noun = "words and pairs of neighbouring ones" if self._has_bigrams else noun
        known = f"{len(self._index)} {noun} are known; the first {limit} are read"
        if self._is_text:
            return {"type": ["string", "null"], "description": described(self._spec.description, known)}
        return {
            "type": ["array", "null"],
            "items": {"type": list(ID_TYPES)},
            "description": described(self._spec.description, known, AS_TEXT),
        }


class _Number:
    """[value, missing flag]; a missing value stands at the mean."""

    def __init__(self, spec: specs.NumberSpec) -> None:
        self.name = spec.name
        self._spec = spec

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        number = number_of(value)
        if self._spec.log1p:
            number = math.copysign(math.log1p(abs(number)), number)
        return {self.name: _standardised(number, self._spec)}

    def schema(self) -> dict[str, Any]:
        return {"type": ["number", "null"], "description": described(self._spec.description)}


class _Time:
    """[log age in days, missing flag], the age counted back from the request's `now`."""

    def __init__(self, spec: specs.TimeSpec) -> None:
        self.name = spec.name
        self._spec = spec

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        moment = unix_time(value)
        if findings.now is None:
            raise BadValueError('a time needs the request\'s "now"; send it', code="missing_now")
        age_days = max(0.0, (findings.now - moment) / DAY_S)
        return {self.name: _standardised(math.log1p(age_days), self._spec)}

    def schema(self) -> dict[str, Any]:
        return time_schema(self._spec.description)


FIELDS: Mapping[str, Callable[[Any], FeatureField]] = {
    "category": _Category,
    "bag": _Bag,
    "text": _Bag,
    "number": _Number,
    "time": _Time,
}


def _standardised(number: float, spec: specs.NumberSpec | specs.TimeSpec) -> npt.NDArray[np.float32]:
    scaled = (number - spec.mean) / spec.std
    return np.array([min(max(scaled, -spec.clip), spec.clip), 0.0], dtype=np.float32)


def index_of(vocabulary: Sequence[str]) -> dict[str, int]:
    return {entry: position for position, entry in enumerate(vocabulary, start=FIRST)}


def described(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def time_schema(description: str) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}],
        "description": described(description, "ISO 8601, or seconds since 1970"),
    }
