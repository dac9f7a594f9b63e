"""Kept vectors in the body of POST /score: read without holding up the event loop, whatever their number.

16 MB of JSON numbers take a parser a tenth of a second, and a regular expression half of that, in which no
other thread runs, so they are found and read in pieces. What is not as expected is left to the parser of the
whole, whose errors name the place.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import orjson

from app.api.requests import load_object
from app.api.vectors import Vectors
from app.http.errors import InvalidRequest
from bundle.values import json_type

PIECE = 256 * 1024  # bytes of rows that are parsed at once: 2 ms
LARGE = 128 * 1024  # bytes of work that are worth a thread
_BEFORE = re.compile(rb'"vectors"\s*:\s*(?=\[\s*\[)')
_NUMBERS = re.compile(rb"[][0-9eE+\-.,\s]*")
T = TypeVar("T")


async def off_loop(size: int, work: Callable[[], T]) -> T:
    """The work's result; on a thread, if so many bytes are large."""
    return work() if size < LARGE else await asyncio.to_thread(work)


def load_score(body: bytes) -> dict[str, Any]:
    """The body's JSON object, with vectors as arrays where they were many. Raises as `load_object` does."""
    rows = _rows(body) if len(body) > PIECE else None
    if rows is not None:
        try:
            content = orjson.loads(body[: rows.start] + b"[]" + body[rows.stop :])
            if (
                isinstance(content, dict) and content.get("vectors") == []
            ):  # it was the field, and not one within
                values = (value for piece in _pieces(body[rows]) for value in orjson.loads(piece))
                content["vectors"] = [_row(value, f"vectors[{at}]") for at, value in enumerate(values)]
                return content
        except orjson.JSONDecodeError:
            pass  # the whole says where
    return load_object(body, "query")


def _rows(body: bytes) -> slice | None:
    """Find the vectors' numbers, if that is what they are."""
    before = _BEFORE.search(body)
    if before is None:
        return None
    start = end = before.end()
    while found := _NUMBERS.match(body, end, end + PIECE):
        end = found.end()
        if len(found[0]) < PIECE:
            break
    last = body.rfind(b"]", start, end)
    return None if last < 0 else slice(start, last + 1)


def _pieces(rows: bytes) -> Iterator[bytes]:
    """`[[...], [...]]` as several of the same form, one after another."""
    start, last = rows.index(b"[", 1), len(rows) - 1
    while start < last:
        end = rows.find(b"]", min(start + PIECE, last - 1), last) + 1 or last
        yield b"[" + rows[start:end] + b"]"
        comma = rows[end:last].lstrip()[:1]
        if comma not in (b",", b""):
            raise orjson.JSONDecodeError("no comma between rows", "", end)
        start = rows.index(b"[", end) if comma else last


def vectors_of(given: Sequence[Any], dim: int) -> Vectors:
    """float32 (n, dim), of lists of numbers or base64. Raises InvalidRequest."""
    rows = np.empty((len(given), dim), dtype=np.float32)
    for index, value in enumerate(given):
        row = _row(value, f"vectors[{index}]")
        if row.shape != (dim,):
            raise _bad_vector(f"{row.size} numbers", dim, index)
        if not np.isfinite(row).all():
            raise _bad_vector("a number that is not finite", dim, index)
        rows[index] = row
    return rows


def _row(value: Any, place: str) -> Vectors:
    try:
        if isinstance(value, np.ndarray):
            return value
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        if isinstance(value, list) and all(type(number) in (int, float) for number in value):
            with np.errstate(over="ignore"):
                return np.array(value, dtype=np.float32)
    except (binascii.Error, ValueError, OverflowError):
        pass
    raise InvalidRequest(
        f"{place}: expected numbers, or base64 of little-endian float32, this is {json_type(value)}",
        code="invalid_vector",
        param=place,
    )


def _bad_vector(found: str, dim: int, index: int) -> InvalidRequest:
    place = f"vectors[{index}]"
    return InvalidRequest(f"{place}: {found}; expected {dim} finite ones", code="invalid_vector", param=place)
