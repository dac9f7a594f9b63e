"""The datatypes of the Open Inference Protocol, and the values that each can hold: one table.

What a float or a string lacks is null in JSON, as NaN is in binary: a missing value. Integers and truth
values have none, there either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_STRINGS = {str}


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype.

    Attributes:
        wire: numpy's name of its values in binary; None for strings, which have a length each.
        types: what JSON has for it.
        noun: its values, for messages.
        least, most: of the numbers.
        has_missing: null is a value of it.
    """

    wire: str | None
    types: tuple[type, ...]
    noun: str
    least: float = 0
    most: float = 0
    has_missing: bool = False

    def holds(self, value: Any) -> bool:
        """Tell whether a value of JSON is one of it."""
        if value is None:
            return self.has_missing
        if type(value) not in self.types:
            return False
        return self.wire is None or self.least <= value <= self.most

    def first_wrong(self, values: Sequence[Any]) -> int | None:
        """Return the place of the first value that is none of it."""
        if self.wire is None and set(map(type, values)) <= _STRINGS:  # most requests, and thrice as fast
            return None
        return next((place for place, value in enumerate(values) if not self.holds(value)), None)


def _integers(wire: str) -> Datatype:
    limits = np.iinfo(wire)
    least, most = int(limits.min), int(limits.max)
    return Datatype(wire, (int,), f"a whole number from {least} to {most}", least, most)


def _floats(wire: str) -> Datatype:
    most = float(np.finfo(wire).max)
    noun = f"a number from {-most:.7g} to {most:.7g}, or null where it is missing"
    return Datatype(wire, (float, int), noun, -most, most, has_missing=True)


BYTES = "BYTES"
DATATYPES: Mapping[str, Datatype] = {
    BYTES: Datatype(None, (str,), "a string, or null where it is missing", has_missing=True),
    "BOOL": Datatype("|b1", (bool, int), "true or false", 0, 1),
    "UINT8": _integers("|u1"),
    "UINT16": _integers("<u2"),
    "UINT32": _integers("<u4"),
    "UINT64": _integers("<u8"),
    "INT8": _integers("|i1"),
    "INT16": _integers("<i2"),
    "INT32": _integers("<i4"),
    "INT64": _integers("<i8"),
    "FP16": _floats("<f2"),
    "FP32": _floats("<f4"),
    "FP64": _floats("<f8"),
}
