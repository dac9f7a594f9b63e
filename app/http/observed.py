"""Request ids, and the outermost layer of the app. Never logs texts, features, vectors or keys.

A pure ASGI layer: Starlette's BaseHTTPMiddleware would hide from the handler that its client left.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.errors import answer
from app.metrics import Metrics
from app.shared.log import REQUEST_ID

HEADER = b"x-request-id"
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")  # goes into logs and headers, so nothing else gets in
_KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

log = structlog.get_logger("encodery")


class Observed:
    """Gives every request an id, counts it, logs it at debug, and turns a stray exception into a 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = id_of(scope["headers"])
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (HEADER, request_id)]
            await send(message)

        started_s = time.perf_counter()
        token = REQUEST_ID.set(request_id.decode())
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # the rim: nothing below may end a connection without an answer
            response = answer(error)
            if not status:
                await response(scope, receive, send_with_id)
        route = getattr(scope.get("route"), "path", "unmatched")
        record(self._metrics, route, scope["method"], status, time.perf_counter() - started_s)
        REQUEST_ID.reset(token)


def id_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """The id that the caller gave the request, or a new one."""
    for name, value in headers:
        if name == HEADER and _SANE_ID.fullmatch(value):
            return value
    return b"%032x" % random.getrandbits(128)


def record(metrics: Metrics, route: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered, and log it at debug."""
    method = method if method in _KNOWN_METHODS else "other"
    metrics.request(route=route, method=method, status=status, seconds=seconds)
    log.debug("request", method=method, route=route, status=status, ms=round(seconds * 1e3, 2))
