"""A text, as the caller wrote it, or as token ids of the model that is to read it."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from bundle.errors import InputError
from bundle.preprocess.facts import Facts, Truncation, warning_field
from bundle.preprocess.text.cutting import cut_end, cut_start
from bundle.preprocess.text.media import is_data_uri, is_media_address
from bundle.values import json_type

FIELD = "text"  # what warnings, columns and tensors call it
EMPTY = "the text is empty or has no token; leave it out"
_NOTHING = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})  # blanks, control and format characters of Unicode


@dataclass(frozen=True, slots=True)
class Text:
    """A text.

    Attributes:
        text: as it is to be read.
        dropped: what was cut off before; None if nothing was.
        is_media_address: apart from a prompt, it is the address of a picture, a sound or a film.
        prompt_chars: how many of the first characters are a prompt's.

    Raises:
        InputError: it is no string, or holds half of a character.
    """

    text: str
    dropped: Truncation | None = None
    is_media_address: bool = False
    prompt_chars: int = 0

    @classmethod
    def from_json(cls, value: Any) -> Text:
        """A text as it stands in a request. Raises InputError, for a data URI as well."""
        if not (isinstance(value, str) and ":" in value):
            return cls(value)
        text = cls(value, is_media_address=is_media_address(value))
        if is_data_uri(value):
            raise InputError(
                0,
                "wrong_kind",
                "this model takes texts, this is a data URI, whose letters are the bytes of a file; send "
                "what is to be read, as a string",
            )
        return text

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
        """The text itself, and what is told of it besides."""
        if self.dropped is None and not self.is_media_address:
            return self.text
        return self.text, self.dropped, self.is_media_address

    @property
    def now(self) -> None:
        """A text means the same at any time."""
        return None

    def prompted(self, prompt: str) -> Text:
        """The text after the prompt. Raises InputError for one in which there is nothing to read."""
        if all(unicodedata.category(character) in _NOTHING for character in self.text):
            raise InputError(0, "empty_input", EMPTY)
        return Text(prompt + self.text, self.dropped, self.is_media_address, len(prompt))

    def cut(self, most: int, *, from_start: bool) -> Text:
        """At most so many characters (most >= 1): the first ones, or the last if the start is cut off."""
        text = cut_start(self.text, most) if from_start else cut_end(self.text, most)
        dropped = Truncation(FIELD, len(self.text), most, "characters")
        return Text(text, dropped, self.is_media_address)

    def to_json(self) -> Any:
        """A string."""
        return self.text


@dataclass(frozen=True, slots=True)
class TokenIds:
    """A text as token ids of the model's own tokenizer, which are read as they are: nothing is added.

    Attributes:
        ids: at least one, all in the vocabulary.
    """

    ids: tuple[int, ...]

    @property
    def size(self) -> int:
        """Nothing is left to be tokenised."""
        return len(self.ids)

    @property
    def key(self) -> Hashable:
        """The ids, which no text is equal to."""
        return self.ids

    @property
    def now(self) -> None:
        """They mean the same at any time."""
        return None

    def prompted(self, prompt: str) -> TokenIds:
        """Raise InputError: a text cannot stand before ids."""
        message = "a prompt goes before a text, and these are token ids; send the text, or no prompt"
        raise InputError(0, "prompt_of_token_ids", message)

    def to_json(self) -> Any:
        """The ids."""
        return list(self.ids)


@dataclass(frozen=True, slots=True)
class TextFacts(Facts):
    """What the caller is told about one text."""

    media_address: bool = warning_field(
        "the text is the address of a picture, a sound or a film: its letters were encoded, and nothing was "
        "fetched",
        False,
    )
    other_language: bool = warning_field(
        "the text seems to be in a script or a language that the encoder was not trained for, so its vector "
        "means little",
        False,
    )
    respelt: int = warning_field(
        "how many words were read as others, in which only neighbouring letters are swapped: words that the "
        "encoder does not know, read as words that it knows",
        0,
    )
