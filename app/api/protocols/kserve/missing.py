"""The body's JSON, in which a number that is missing may be written as NaN, as Python and Triton do.

JSON has no NaN, and orjson takes none. So a body that it refuses is read once more with null in the place of
every NaN that stands outside a string. What is no JSON but for a NaN is none with null either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.api.json_values import by_string
from app.api.requests import load_object
from app.http.errors import MalformedRequest

_FIELD = "inputs"
_NAN, _MARK = b"NaN", b"\0\0\0"  # no byte of JSON is 0


def load_body(body: bytes) -> dict[str, Any]:
    """The object. Raises MalformedRequest, InvalidRequest."""
    try:
        return load_object(body, _FIELD)
    except MalformedRequest:
        if _NAN not in body or b"\0" in body:
            raise
    return load_object(_with_nulls(body), _FIELD)


def _with_nulls(body: bytes) -> bytes:
    content = np.frombuffer(body, np.uint8).copy()
    inside = np.concatenate([inside for _, inside in by_string(body)])
    first, second, third = ((content == sign) & ~inside for sign in _NAN)
    places = np.flatnonzero(first[:-2] & second[1:-1] & third[2:])
    content[places[:, None] + np.arange(len(_NAN))] = 0  # [n, 3]
    return content.tobytes().replace(_MARK, b"null")
