"""A text, as the caller wrote it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from bundle.errors import InputError
from bundle.preprocess.facts import Truncation
from bundle.preprocess.text.cutting import cut_end, cut_start
from bundle.values import json_type

FIELD = "text"  # what warnings, columns and tensors call it


@dataclass(frozen=True, slots=True)
class Text:
    """A text.

    Attributes:
        text: as it is to be read.
        dropped: what was cut off before; None if nothing was.

    Raises:
        InputError: it is no string, or holds half of a character.
    """

    text: str
    dropped: Truncation | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InputError(
                0, "wrong_kind", f"this model takes texts, this is {json_type(self.text)}; send a string"
            )
        try:
            self.text.encode()
        except UnicodeEncodeError:
            message = "the text holds a lone surrogate (half of a character); send valid Unicode"
            raise InputError(0, "invalid_text", message) from None

    @property
    def size(self) -> int:
        """Its length in characters."""
        return len(self.text)

    @property
    def key(self) -> Hashable:
        """The text itself, and what was cut off, since that is told."""
        return self.text if self.dropped is None else (self.text, self.dropped)

    @property
    def now(self) -> None:
        """A text means the same at any time."""
        return None

    def prompted(self, prompt: str) -> Text:
        """The text after the prompt."""
        return Text(prompt + self.text, self.dropped)

    def cut(self, most: int, *, from_start: bool) -> Text:
        """At most so many characters (most >= 1): the first ones, or the last if the start is cut off."""
        text = cut_start(self.text, most) if from_start else cut_end(self.text, most)
        return Text(text, Truncation(FIELD, len(self.text), most, "characters"))

    def to_json(self) -> Any:
        """A string."""
        return self.text
