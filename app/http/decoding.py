"""Expands a compressed body, bounded as it grows: a kilobyte of gzip may stand for a megabyte.

Knows zlib's two forms (RFC 1950 to 1952). What is made counts at once, so that whoever sends a bomb is
refused by the first piece over the limit, and others have their turn between two pieces.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

from app.http.errors import MalformedRequest, UnsupportedMediaType

Coding: TypeAlias = Literal["gzip", "deflate"]
PIECE = 64 * 1024  # bytes that are read or made in one go: 0.2 ms
_CODINGS: dict[str, Coding | None] = {
    "": None,
    "identity": None,
    "gzip": "gzip",
    "x-gzip": "gzip",
    "deflate": "deflate",
}
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


@lru_cache(maxsize=64)  # clients send few different ones, over and over
def coding_of(header: str) -> Coding | None:
    """How a body with this Content-Encoding is compressed; None if it is not. Raises UnsupportedMediaType."""
    name = header.strip().lower()
    if name not in _CODINGS:
        raise UnsupportedMediaType(
            "the body's Content-Encoding is not read here; send gzip or deflate, or the body as it is",
            code="unsupported_content_encoding",
        )
    return _CODINGS[name]


async def expanded(body: bytes, coding: Coding, take: Callable[[int], None]) -> bytes:
    """What the body stands for.

    Args:
        body: all of it.
        coding: how it is compressed.
        take: is told of the bytes of every piece, and raises where they are too many.

    Raises:
        MalformedRequest: it is not compressed that way, ends too early, or something follows.
    """
    pieces = list[bytes]()
    try:
        for piece in _pieces(body, coding):
            take(len(piece))
            pieces.append(piece)
            await asyncio.sleep(0)
    except zlib.error:
        raise _malformed(coding, "cannot be read as that") from None
    return b"".join(pieces)


def _pieces(body: bytes, coding: Coding) -> Iterator[bytes]:
    decoder = zlib.decompressobj(_window(body, coding))
    for start in range(0, len(body), PIECE):
        rest, piece = body[start : start + PIECE], b""
        while (rest or len(piece) == PIECE) and not decoder.eof:  # what was made may be more than was asked
            piece = decoder.decompress(rest, PIECE)
            rest = decoder.unconsumed_tail
            yield piece
        if decoder.eof:
            if decoder.unused_data or start + PIECE < len(body):
                raise _malformed(coding, "goes on behind its end")
            return
    raise _malformed(coding, "ends too early")


def _window(body: bytes, coding: Coding) -> int:
    """The form for zlib. Some send `deflate` without the two bytes that the standard has before it."""
    if coding == "gzip":
        return _GZIP
    has_head = len(body) > 1 and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2], "big") % 31 == 0
    return _ZLIB if has_head else _RAW


def _malformed(coding: Coding, fault: str) -> MalformedRequest:
    return MalformedRequest(
        f"the body's Content-Encoding is {coding}, and it {fault}", code="invalid_content_encoding"
    )
