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
from bundle.preprocess.features.vocabulary import Vocabulary
from bundle.preprocess.features.words import (
    bigrams,
    distinct,
    distinct_bigrams,
    distinct_prefixes,
    words,
)
from bundle.values import DAY_S, BadValueError, id_of, json_type, number_of, string_of, unix_time

ID_TYPES, AS_TEXT = ("string", "integer"), "an integer is read as its decimal text"  # what `id_of` takes
ANY_CASE = "in any case of letters"


class Findings:
    """Collects the facts of one input while its features are read."""

    def __init__(self, now: float | None) -> None:
        self.now = now
        self.truncated: list[Truncation] = []
        self.unknown: dict[str, None] = {}  # a dict, to keep the order of the schema
        self.is_known = False  # one feature at least has a value that training saw
        self.new_entries: list[int] = []
        self.unknown_entries: list[int] = []
        self.undated_entries: Sequence[int] = ()
        self.future_entries: Sequence[int] = ()
        self.repeated_entries = 0
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
    def __init__(self, spec: specs.CategorySpec, version: int) -> None:
        self.name = spec.name
        self._spec = spec
        self._vocabulary = Vocabulary(spec.vocabulary, uppercase=spec.uppercase, is_exact=version == 1)

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        index = MISSING if value is None else self._vocabulary.find(id_of(value))
        if index == UNKNOWN:
            findings.unknown[self.name] = None
        elif index != MISSING:
            findings.is_known = True
        return {self.name: np.array([index], dtype=np.int64)}

    def schema(self) -> dict[str, Any]:
        known = f"{len(self._vocabulary)} values are known"
        case = ANY_CASE if self._spec.uppercase else ""
        return {
            "type": [*ID_TYPES, "null"],
            "description": described(self._spec.description, known, AS_TEXT, case),
        }


class _Listed:
    """What bags and texts share: indices [k] of their first entries, MISSING if there is none."""

    unit: str

    def __init__(self, spec: specs.BagSpec | specs.TextSpec, vocabulary: Vocabulary) -> None:
        self.name = spec.name
        self._limit, self._vocabulary = spec.max_length, vocabulary

    def _indices(self, entries: Sequence[str], findings: Findings) -> list[int]:
        """Indices of the first entries, up to the limit; tells what is cut, unknown and known."""
        if len(entries) > self._limit:
            findings.truncated.append(Truncation(self.name, len(entries), self._limit, self.unit))
        found = [self._vocabulary.find(entry) for entry in entries[: self._limit]]
        if any(
            index == UNKNOWN and not self._begins_known(entry)
            for index, entry in zip(found, entries, strict=False)
        ):
            findings.unknown[self.name] = None
        if found and max(found) >= FIRST:
            findings.is_known = True
        return found

    def _begins_known(self, entry: str) -> bool:
        """Whether something is known of an entry that is not in the vocabulary."""
        return False

    def _array(self, found: Sequence[int]) -> Arrays:
        return {self.name: np.array(found or [MISSING], dtype=np.int64)}


class _Bag(_Listed):
    unit = "entries"

    def __init__(self, spec: specs.BagSpec, version: int) -> None:
        self._spec, self._is_exact = spec, version == 1
        vocabulary = Vocabulary(spec.vocabulary, uppercase=spec.uppercase, is_exact=self._is_exact)
        super().__init__(spec, vocabulary)

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        return self._array(self._indices(self._entries(value), findings))

    def _entries(self, value: Any) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, (list, tuple)):
            raise BadValueError(f"expected a list of strings, got {json_type(value)}")
        entries = [id_of(entry, f"[{position}]") for position, entry in enumerate(value)]
        if self._is_exact:
            return entries
        return [entry for entry in distinct(list(map(self._vocabulary.normal, entries))) if entry]

    def schema(self) -> dict[str, Any]:
        known = f"{len(self._vocabulary)} values are known; the first {self._limit} are read"
        case = ANY_CASE if self._spec.uppercase else ""
        return {
            "type": ["array", "null"],
            "items": {"type": list(ID_TYPES)},
            "description": described(self._spec.description, known, AS_TEXT, case),
        }


class _Text(_Listed):
    """A bag of words, of known pairs of neighbours, and of known beginnings of words."""

    unit = "words"

    def __init__(self, spec: specs.TextSpec, version: int) -> None:
        super().__init__(spec, Vocabulary(spec.vocabulary, is_exact=True))  # words are normal already
        self._spec, self._counts_once = spec, version > 1

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        read = [] if value is None else words(string_of(value))
        entries = distinct(read) if self._counts_once else read
        found = self._indices(entries, findings)
        if self._spec.bigrams:
            entries = entries[: self._limit]
            pairs = distinct_bigrams(read, entries) if self._counts_once else bigrams(entries)
            found += self._known(pairs)
        if beginnings := self._known(distinct_prefixes(entries[: self._limit], self._spec.prefixes)):
            found += beginnings
            findings.is_known = True
        return self._array(found)

    def _begins_known(self, entry: str) -> bool:
        return bool(self._known(distinct_prefixes([entry], self._spec.prefixes)))

    def _known(self, entries: Sequence[str]) -> list[int]:
        return [index for index in map(self._vocabulary.find, entries) if index != UNKNOWN]

    def schema(self) -> dict[str, Any]:
        nouns = (
            "words",
            "pairs of neighbours" * self._spec.bigrams,
            "beginnings" * bool(self._spec.prefixes),
        )
        noun = " and ".join(filter(None, nouns))
        known = f"{len(self._vocabulary)} {noun} are known; the first {self._limit} are read"
        counted = "each counts once" if self._counts_once else ""
        return {"type": ["string", "null"], "description": described(self._spec.description, known, counted)}


class _Number:
    """[value, missing flag]; a missing value stands at the mean."""

    def __init__(self, spec: specs.NumberSpec, version: int) -> None:
        self.name = spec.name
        self._spec = spec

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        number = number_of(value)
        findings.is_known = True
        if self._spec.log1p:
            number = math.copysign(math.log1p(abs(number)), number)
        return {self.name: _standardised(number, self._spec)}

    def schema(self) -> dict[str, Any]:
        return {"type": ["number", "null"], "description": described(self._spec.description)}


class _Time:
    """[log age in days, missing flag], the age counted back from the request's `now`."""

    def __init__(self, spec: specs.TimeSpec, version: int) -> None:
        self.name = spec.name
        self._spec = spec

    def arrays(self, value: Any, findings: Findings) -> Arrays:
        if value is None:
            return {self.name: np.array([0.0, 1.0], dtype=np.float32)}
        moment = unix_time(value)
        if findings.now is None:
            raise BadValueError('a time needs the request\'s "now"; send it', code="missing_now")
        findings.is_known = True
        age_days = max(0.0, (findings.now - moment) / DAY_S)
        return {self.name: _standardised(math.log1p(age_days), self._spec)}

    def schema(self) -> dict[str, Any]:
        return time_schema(self._spec.description)


# Kind -> what reads it, made of its spec and the schema's version.
FIELDS: Mapping[str, Callable[[Any, int], FeatureField]] = {
    "category": _Category,
    "bag": _Bag,
    "text": _Text,
    "number": _Number,
    "time": _Time,
}


def _standardised(number: float, spec: specs.NumberSpec | specs.TimeSpec) -> npt.NDArray[np.float32]:
    scaled = (number - spec.mean) / spec.std
    return np.array([min(max(scaled, -spec.clip), spec.clip), 0.0], dtype=np.float32)


def described(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def time_schema(description: str) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}, {"type": "null"}],
        "description": described(description, "ISO 8601, or seconds since 1970"),
    }
