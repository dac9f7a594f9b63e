"""In what two answers to one request differ, for a client that reads them.

Models differ, so numbers are compared by their type, unless both servers have the same one. What our answer
has beside is no difference: clients look for what they know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from replay.recorded import CUT, Answer

Kind = Literal["status", "shape", "header", "words"]

CLASSES = frozenset({"error_type", "object", "datatype"})  # strings that programs decide by
TOLERANCE = 2e-3  # between two runtimes of one model, and float16 of another


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        kind: `words` are for people; all others are seen by programs.
        what: for a person, with the place.
    """

    kind: Kind
    what: str


@dataclass(frozen=True, slots=True)
class Comparing:
    """How strictly to compare.

    Attributes:
        is_same_model: numbers must agree as well.
        is_of_model: how long lists are, and what their texts say, depends on the model, as with tokens.
    """

    is_same_model: bool = False
    is_of_model: bool = False

    def answers(self, theirs: Answer, ours: Answer) -> list[Difference]:
        """All differences, none of them twice."""
        if theirs.status != ours.status:
            return [Difference("status", f"{theirs.status} there, {ours.status} here")]
        is_error = theirs.status >= 400
        found = [*_headers(theirs, ours, is_error=is_error)]
        if is_error and isinstance(theirs.body, str) and not isinstance(ours.body, str):
            found.append(Difference("words", "a text there, JSON here"))
        else:
            found += self._values("", theirs.body, ours.body)
        return list(dict.fromkeys(found))

    def _values(self, place: str, theirs: Any, ours: Any) -> Iterator[Difference]:
        if isinstance(theirs, dict) and (theirs.keys() & {"vector", "base64_vector"}):
            yield from self._vector(place, theirs, ours)
        elif isinstance(theirs, dict) and isinstance(ours, dict):
            for name, value in theirs.items():
                if name not in ours:
                    yield Difference("shape", f"{place or 'the answer'} has no {name} here")
                else:
                    yield from self._values(f"{place}.{name}".lstrip("."), value, ours[name])
        elif isinstance(theirs, list) and isinstance(ours, list):
            yield from self._lists(place, theirs, ours)
        elif not self._is_type(theirs, ours):
            expected, found = _type(theirs), _type(ours)
            yield Difference("shape", f"{place or 'the answer'} is {expected} there, {found} here")
        elif isinstance(theirs, str) and theirs != ours:
            is_class = place.rpartition(".")[2] in CLASSES
            if is_class or not self.is_of_model:
                what = f": {theirs} there, {ours} here" if is_class else ""
                yield Difference("shape" if is_class else "words", f"{place or 'the text'} differs{what}")
        elif self.is_same_model and _type(theirs) == "float" and not _close(theirs, ours):
            yield Difference("shape", f"{place or 'the number'} is {theirs} there, {ours} here")

    def _is_type(self, theirs: Any, ours: Any) -> bool:
        """Tell whether a client reads both alike. Where the model decides, it decides on null as well."""
        expected, found = _type(theirs), _type(ours)
        is_null = self.is_of_model and "null" in (expected, found)
        return expected == found or (expected, found) == ("float", "int") or is_null

    def _lists(self, place: str, theirs: list[Any], ours: list[Any]) -> Iterator[Difference]:
        length = len(theirs)
        if theirs and isinstance(theirs[-1], dict) and theirs[-1].keys() == {"and"}:
            theirs, length = theirs[:-1], length - 1 + theirs[-1]["and"]
        elif theirs and isinstance(theirs[-1], str) and (cut := CUT.fullmatch(theirs[-1])):
            theirs, length = theirs[:-1], int(cut[1])
        if length != len(ours) and not self.is_of_model:
            where = place or "the answer"
            yield Difference("shape", f"{where} has {length} entries there, {len(ours)} here")
        for one, other in zip(theirs, ours, strict=False):
            yield from self._values(f"{place}[]", one, other)

    def _vector(self, place: str, theirs: dict[str, Any], ours: Any) -> Iterator[Difference]:
        if "base64_vector" in theirs:
            if not isinstance(ours, str):
                yield Difference("shape", f"{place} is no base64 here")
            return
        if not (isinstance(ours, list) and ours and all(_type(one) in ("int", "float") for one in ours)):
            yield Difference("shape", f"{place or 'the answer'} is no vector here")
        elif self.is_same_model:
            if theirs["vector"] != len(ours):
                yield Difference(
                    "shape", f"{place} has {theirs['vector']} dimensions there, {len(ours)} here"
                )
            elif not all(map(_close, theirs["first"], ours)):
                yield Difference("shape", f"{place}: other numbers")


def _headers(theirs: Answer, ours: Answer, *, is_error: bool) -> Iterator[Difference]:
    """Of headers those that a client reads: the type, CORS, and TEI's own, whose names alone are recorded."""
    named = theirs.headers.get("names") or []
    values = {name: value for name, value in theirs.headers.items() if name.startswith("x-compute-")}
    for name in sorted({*named, *values}):
        if name not in ours.headers:
            yield Difference("header", f"no {name}")
        elif str(values.get(name, "")).isdigit() and not ours.headers[name].isdigit():
            yield Difference("header", f"{name} is no whole number here")
    expected, found = (_essence(one.headers.get("content-type", "")) for one in (theirs, ours))
    if expected and expected != found:
        yield Difference("words" if is_error else "header", f"{expected} there, {found or 'no type'} here")


def _essence(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _type(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
