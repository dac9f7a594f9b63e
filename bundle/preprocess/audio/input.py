"""A sound, as the bytes of a file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from bundle.errors import InputError
from bundle.preprocess.audio.decoding import looks_like_sound, seconds_of
from bundle.preprocess.media import Media

MEDIA = Media("audio", "a sound", "sounds")
MEDIA_TYPES = (
    *("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
    *("audio/flac", "audio/x-flac", "audio/ogg", "audio/opus", "audio/mpeg", "audio/mp3"),
)
SIZE, BYTES_PER_CHAR = 2_000, 8  # 12 ms for 1 MB of FLAC; a text of 1,000 characters takes 0.2 ms


@dataclass(frozen=True)
class Sound:
    """The bytes of a sound file, not yet looked into.

    Attributes:
        content: of a WAV, FLAC, Ogg or MP3 file.
        most_s: only so many seconds of it are to be read; None for all.
        from_start: of a longer one, the start is dropped and not the end.
    """

    content: bytes
    most_s: int | None = None
    from_start: bool = False

    @classmethod
    def from_bytes(cls, content: bytes) -> Sound:
        """A body that is one sound. Raises InputError by its first bytes; the rest is not looked into."""
        if not content:
            raise InputError(0, "empty_input", "the sound has no bytes; leave it out")
        if not looks_like_sound(content):
            raise InputError(0, "invalid_audio", "these bytes are no WAV, FLAC, Ogg or MP3 file; convert it")
        return cls(content)

    @classmethod
    def from_json(cls, value: Any) -> Sound:
        """A sound in any form of the bytes of a file. Raises InputError."""
        return cls.from_bytes(MEDIA.content_of(value))

    def to_json(self) -> Any:
        """Base64."""
        return base64.b64encode(self.content).decode()

    @property
    def size(self) -> int:
        """More than is prepared on an event loop, whatever the file."""
        return SIZE + len(self.content) // BYTES_PER_CHAR

    @property
    def key(self) -> Hashable:
        """A digest, and not the bytes, which would be held as long as the vector."""
        return self._digest, self.most_s, self.from_start

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.content).digest()

    @property
    def now(self) -> None:
        """A sound means the same at any time."""
        return None

    @cached_property
    def seconds(self) -> float:
        """Its length by the header. Raises InputError."""
        return seconds_of(self.content)

    def cut(self, most_s: int, *, from_start: bool) -> Sound:
        """At most so many seconds: the first ones, or the last if the start is dropped."""
        return replace(self, most_s=most_s, from_start=from_start)

    def prompted(self, prompt: str) -> Sound:
        """Itself: sounds have no prompts."""
        return self
