"""The protocol's routes and the shape of its errors, which every path under /v2 has."""

from __future__ import annotations

from app.api.protocols.base import ErrorText, Protocol
from app.http.errors import Failure

EMBEDDING = "embedding"  # the one tensor of an answer


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.detail.message}


KSERVE = Protocol(
    "KServe V2",
    root="/v2",
    body=_error,
    error=ErrorText,
    statuses={422: 400},
    words={'send "truncate":"end"': 'send the parameter "truncate":"end"'},
)
