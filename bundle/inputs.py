"""Domain inputs: what an encoder encodes, before any preprocessing.

A new kind of input is one more dataclass here and one row in `bundle.preprocess.KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as the caller wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class Features:
    """Raw features of a user or an item.

    Attributes:
        values: feature name to JSON value; what is allowed is declared by the bundle's features.json.
        now: unix time in seconds that `time` features are relative to; None if there is none.
    """

    values: Mapping[str, Any]
    now: float | None = None


Input: TypeAlias = Text | Features
