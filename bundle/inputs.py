"""Domain inputs: what an encoder encodes, before any preprocessing.

A new kind of input is one more dataclass here and one row in `bundle.preprocess.KINDS`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

_VALUE_SIZE = 20  # a value or an entry of a list takes about as long as 20 characters


@dataclass(frozen=True, slots=True)
class Text:
    """A text, as the caller wrote it."""

    text: str

    @property
    def size(self) -> int:
        """In characters: what preparing it costs follows from that."""
        return len(self.text)

    @property
    def key(self) -> Hashable:
        """Equal for equal inputs."""
        return self.text


@dataclass(frozen=True, slots=True)
class Features:
    """Raw features of a user or an item.

    Attributes:
        values: feature name to JSON value; what is allowed is declared by the bundle's features.json.
        now: unix time in seconds that `time` features are relative to; None if there is none.
    """

    values: Mapping[str, Any]
    now: float | None = None

    @property
    def size(self) -> int:
        """In characters of a text that takes as long to prepare."""
        return _VALUE_SIZE * sum(len(one) if isinstance(one, list) else 1 for one in self.values.values())

    @property
    def key(self) -> Hashable:
        """Equal for equal inputs, in whichever order their fields stand."""
        return json.dumps(self.values, sort_keys=True, default=repr), self.now


Input: TypeAlias = Text | Features


def prompted(inputs: Sequence[Input], prompt: str) -> Sequence[Input]:
    """The inputs with a prompt's text before each; features have none."""
    if not prompt:
        return inputs
    return [Text(prompt + one.text) if isinstance(one, Text) else one for one in inputs]
