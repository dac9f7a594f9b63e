"""What the head of a request says about its work: how long it may take, and whether it is bulk work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from fastapi import Request

from app import engine
from app.engine import FEW
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.http.request import DirectRequest
from app.settings import Settings

TIMEOUT_HEADER, PRIORITY_HEADER = "X-Request-Timeout-Ms", "X-Priority"
_PEEK_BYTES = 1024
_TERMS = "encodery.terms"  # in a request's scope
_MODEL = re.compile(rb'"model"\s{0,8}:\s{0,8}"([\w.:/-]{1,64})"')
FEW_BYTES = 4 * 1024  # are read in less time than it takes to foretell what will become of them
_MOST_DIGITS = 12  # of a number that is parsed; more milliseconds than anybody has
HEADER_PARAMETERS: list[dict[str, Any]] = [  # for the OpenAPI document of every route that encodes
    {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "how long the vectors may take, where that is less than the server allows; over it "
        "504, and what still waits is dropped",
        "schema": {"type": "integer", "minimum": 1},
    },
    {
        "name": PRIORITY_HEADER,
        "in": "header",
        "description": "bulk work yields to interactive work and may fill half of the queue",
        "schema": {"type": "string", "enum": ["interactive", "bulk"], "default": "interactive"},
    },
]


def admit(context: Context, request: Request) -> None:
    """Refuse by its head what would be refused when its body has been read and parsed.

    Raises:
        EngineError: too much work waits, or the server stops.
        InvalidRequest: there is no such priority, or no such time.
    """
    priority, timeout_s, size = terms_of(request, context.settings)
    if context.in_work < FEW and context.engine.is_calm and size <= FEW_BYTES:
        return  # the check behind the parsing of such a body is soon enough
    context.engine.check_capacity(
        partial(_candidates, context, request), priority, timeout_s=timeout_s, size=size
    )
    has_arrived = isinstance(request, DirectRequest) and request.has_arrived
    if has_arrived and (likely := _candidates(context, request)):
        context.engine.expect(likely[0], priority, size)


def _candidates(context: Context, request: Request) -> Sequence[engine.Loaded]:
    """The encoders that a request may be for: those of a model that its path or its body names, or all."""
    registry = context.registry
    name = request.path_params.get("model") or _named_in(request, context.settings.default_model)
    model = registry.models.get(registry.resolve(name)[0]) if name else None
    return list(model.versions.values()) if model else registry.loaded


def _named_in(request: Request, default: str) -> str | None:
    """The `model` of a JSON object in a body that is there, without parsing it; None if it is not known.

    Only its ends are looked at. A text that looks like it would not be taken for it: its quotes are escaped.
    """
    body = request.arrived() if isinstance(request, DirectRequest) else None
    if body is None:
        return None
    last = max(0, len(body) - _PEEK_BYTES)
    if (found := _MODEL.search(body, 0, _PEEK_BYTES) or _MODEL.search(body, last)) is not None:
        return found[1].decode()
    return default if last <= _PEEK_BYTES else None


class Terms(NamedTuple):
    """What a request's head says of its work.

    Attributes:
        size: bytes of the body; 0 if that is not told.
    """

    priority: engine.Priority
    timeout_s: float
    size: int


def terms_of(request: Request, settings: Settings) -> Terms:
    """Read them, once for a request. Raises InvalidRequest."""
    terms: Terms | None = request.scope.get(_TERMS)
    if terms is None:
        terms = Terms(_priority_of(request), timeout_of(request, settings), _size_of(request))
        request.scope[_TERMS] = terms
    return terms


def _size_of(request: Request) -> int:
    """Bytes of the body, as its head tells; 0 if it does not."""
    declared = request.headers.get("content-length", "0")
    is_number = declared.isascii() and declared.isdecimal() and len(declared) <= _MOST_DIGITS
    return int(declared) if is_number else 0


def timeout_of(request: Request, settings: Settings) -> float:
    """Seconds that the vectors may take. Raises InvalidRequest."""
    asked, most_s = request.headers.get(TIMEOUT_HEADER), settings.request_timeout_s
    if asked is None:
        return most_s
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= _MOST_DIGITS and int(asked) > 0):
        raise InvalidRequest(
            f"{TIMEOUT_HEADER} is a whole number of milliseconds, at least 1; what is over the server's "
            f"{1e3 * most_s:.0f} (ENCODERY_REQUEST_TIMEOUT_S) counts as that",
            code="invalid_timeout",
            param=TIMEOUT_HEADER,
        )
    return min(int(asked) / 1e3, most_s)


def _priority_of(request: Request) -> engine.Priority:
    """The priority of the work. Raises InvalidRequest."""
    asked = request.headers.get(PRIORITY_HEADER)
    if asked is None or asked == "interactive":
        return "interactive"
    if asked == "bulk":
        return "bulk"
    raise InvalidRequest(
        f'{PRIORITY_HEADER} is "interactive" or "bulk"', code="invalid_priority", param=PRIORITY_HEADER
    )
