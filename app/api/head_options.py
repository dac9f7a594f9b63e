"""What the head of a request says about its work: how long it may take, and whether it is bulk work."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from app import engine
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.settings import Settings

TIMEOUT_HEADER, PRIORITY_HEADER = "X-Request-Timeout-Ms", "X-Priority"
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
    priority, timeout_s = priority_of(request), timeout_of(request, context.settings)
    context.engine.check_capacity(context.registry, priority, timeout_s)


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


def priority_of(request: Request) -> engine.Priority:
    """The priority of the work. Raises InvalidRequest."""
    asked = request.headers.get(PRIORITY_HEADER)
    if asked is None or asked == "interactive":
        return "interactive"
    if asked == "bulk":
        return "bulk"
    raise InvalidRequest(
        f'{PRIORITY_HEADER} is "interactive" or "bulk"', code="invalid_priority", param=PRIORITY_HEADER
    )
