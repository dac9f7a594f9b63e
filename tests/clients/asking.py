"""What every client's program asks for, and what its user sees of an error."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from collections.abc import Callable
from typing import Any

TEXTS = ["hello world", "the cat sat on the mat"]
ABSENT = "absent"  # a model that the server does not have
MODEL = "text"


def _png(colours: bytes) -> bytes:
    """A picture of 8 x 8 pixels, each row of two colours: by the standard library, which is everywhere."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = (b"\0" + colours[:3] * 4 + colours[3:] * 4) * 8
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _wav(period: int) -> bytes:
    """A tenth of a second of a square wave, at 8 kHz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(
            (struct.pack("<h", 9000) * period + struct.pack("<h", -9000) * period) * (400 // period)
        )
    return out.getvalue()


PICTURES = [_png(b"\xd2\x1e\x1e\x1e\xc8\x3c"), _png(b"\x28\x3c\xdc\xf0\xf0\xf0")]
SOUNDS = [_wav(10), _wav(40)]


def caught(call: Callable[[], Any]) -> str:
    """What a user sees of the error."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError("the call succeeded")
