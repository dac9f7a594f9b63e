"""A picture, as the bytes of its file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from bundle.preprocess.facts import Facts, warning_field
from bundle.preprocess.image.headers import Header, read_header
from bundle.preprocess.media import Media

MEDIA = Media("image", "a picture", "pictures")
PIXELS_PER_CHAR = 8  # decoding eight pixels takes as long as a character of a text
SHRUNK = 1024  # a baseline JPEG is shrunk while it is decoded if its shorter side has so many pixels
WHOLE_SHARE = 4  # then a quarter of its pixels are held at most, and decoding takes a quarter of the time


@dataclass(frozen=True, slots=True)
class Image:
    """A picture whose header was read; nothing else of it.

    Attributes:
        content: of its file.
        header: what the file says of itself.
    """

    content: bytes
    header: Header

    @classmethod
    def from_bytes(cls, content: bytes) -> Image:
        """Read the header. Raises InputError for what is no picture."""
        return cls(content, read_header(content))

    @classmethod
    def from_json(cls, value: Any) -> Image:
        """A picture as it stands in a request: base64, a data URI, an object with one. Raises InputError."""
        return cls.from_bytes(MEDIA.content_of(value))

    @property
    def held_pixels(self) -> int:
        """Pixels that a decoder holds at once, by the header."""
        header = self.header
        is_shrunk = not header.is_whole and min(header.width, header.height) >= SHRUNK
        return header.pixels // WHOLE_SHARE if is_shrunk else header.pixels

    @property
    def size(self) -> int:
        """What decoding it costs, in characters of a text."""
        return 1 + self.held_pixels // PIXELS_PER_CHAR

    @property
    def key(self) -> Hashable:
        """A digest of the file."""
        return hashlib.sha256(self.content).digest()

    @property
    def now(self) -> None:
        """A picture means the same at any time."""
        return None

    def prompted(self, prompt: str) -> Image:
        """The same: nothing stands before a picture."""
        return self

    def to_json(self) -> Any:
        """Base64 of the file."""
        return base64.b64encode(self.content).decode()


@dataclass(frozen=True, slots=True)
class ImageFacts(Facts):
    """What the caller is told about one picture."""

    cropped: tuple[int, ...] = warning_field(
        "the picture's own width and height: of its longer side only the middle was encoded"
    )
    flattened: bool = warning_field("it has transparent parts, which were laid on white", False)
    first_of_frames: int = warning_field("of how many frames only the first was encoded", 0)
