"""The body's JSON, in which a number that is missing may be written as NaN, as Python and Triton do.

JSON has no NaN, and orjson takes none. So a body that it refuses is read once more with null in the place of
every NaN that stands outside a string.
"""

from __future__ import annotations

import re
from typing import Any

from app.api.requests import load_object
from app.http.errors import MalformedRequest

_FIELD = "inputs"
# A string, whole or without an end, so that nothing is looked at twice; or NaN as a value of its own.
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?|(?<![\w.+-])NaN(?!\w)', re.DOTALL)


def load_body(body: bytes) -> dict[str, Any]:
    """The object. Raises MalformedRequest, InvalidRequest."""
    try:
        return load_object(body, _FIELD)
    except MalformedRequest:
        if b"NaN" not in body:
            raise
    return load_object(_STRING_OR_NAN.sub(_null, body), _FIELD)


def _null(found: re.Match[bytes]) -> bytes:
    return b"null" if found[0] == b"NaN" else found[0]
