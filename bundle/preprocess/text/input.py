"""A text, as the caller wrote it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from bundle.errors import InputError
from bundle.values import json_type

FIELD = "text"  # what warnings, columns and tensors call it


@dataclass(frozen=True, slots=True)
class Text:
    """A text.

    Raises:
        InputError: it is no string, or holds half of a character.
    """

    text: str

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
        """The text itself."""
        return self.text

    @property
    def now(self) -> None:
        """A text means the same at any time."""
        return None

    def prompted(self, prompt: str) -> Text:
        """The text after the prompt."""
        return Text(prompt + self.text)

    def to_json(self) -> Any:
        """A string."""
        return self.text
