"""Kept vectors in the body of /score and /adapt: read without holding up the event loop, however many.

16 MB of JSON numbers take a parser a tenth of a second, and a regular expression half of that, in which no
other thread runs, so they are found and read in pieces. What is not as expected is left to the parser of the
whole, whose errors name the place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import orjson

from app.api.json_values import check_values
from app.api.requests import load_object
from app.api.vectors import Vectors
from app.http.errors import InvalidRequest
from bundle.values import json_type

PIECE = 256 * 1024  # bytes of rows that are parsed at once: 2 ms
_BEFORE = re.compile(rb'"vectors"\s*:\s*(?=\[\s*(\[|"))')
_BETWEEN = re.compile(rb"\s*,\s*")


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of rows in JSON: what begins one, what comes at its end, and what there is in all of them."""

    first: bytes
    last: bytes
    bytes: re.Pattern[bytes]


_FORMS = {
    b"[": _Form(b"[", b"]", re.compile(rb"[][0-9eE+\-.,\s]*")),
    b'"': _Form(b'"', b'",', re.compile(rb'[]["0-9A-Za-z+/=,\s]*')),  # base64
}


def load_with_vectors(body: bytes, field: str, most: int) -> dict[str, Any]:
    """The body's JSON object, with numbers as arrays where they were many. Raises as `load_object` does.

    Of more than `most` vectors one more is read, to be refused.
    """
    found = _rows(body) if len(body) > PIECE else None
    if found is not None:
        rows, form = found
        rest = body[: rows.start] + b"[]" + body[rows.stop :]
        check_values(rest)
        try:
            content = orjson.loads(rest)
            # It was the field, and not one within.
            if isinstance(content, dict) and content.get("vectors") == []:
                values = (value for piece in _pieces(body[rows], form) for value in orjson.loads(piece))
                content["vectors"] = [
                    value if isinstance(value, str) else _row(value, f"vectors[{at}]")
                    for at, value in enumerate(islice(values, most + 1))
                ]
                return content
        except orjson.JSONDecodeError:
            pass  # the whole says where
    return load_object(body, field)


def _rows(body: bytes) -> tuple[slice, _Form] | None:
    """Find the vectors' rows, if they are all of one form."""
    before = _BEFORE.search(body)
    if before is None:
        return None
    start, form = before.end(), _FORMS[before[1]]
    end = start
    while found := form.bytes.match(body, end, end + PIECE):
        end = found.end()
        if len(found[0]) < PIECE:
            break
    last = body.rfind(b"]", start, end)
    return None if last < 0 else (slice(start, last + 1), form)


def _pieces(rows: bytes, form: _Form) -> Iterator[bytes]:
    """`[[...], [...]]` as several of the same form, one after another."""
    start, last = rows.index(form.first, 1), len(rows) - 1
    while start < last:
        end = rows.find(form.last, min(start + PIECE, last - 1), last) + 1 or last
        yield b"[" + rows[start:end] + b"]"
        between = _BETWEEN.match(rows, end, last)
        start = between.end() if between else last
        if rows[start : start + 1] != form.first and (between or rows[end:last].strip()):
            raise orjson.JSONDecodeError("no comma between rows, or rows of two forms", "", end)


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
