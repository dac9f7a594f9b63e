"""The one way of every request, whoever read it from a socket: `app.http.connection`, or another ASGI server.

    id -> CHECKS -> the route's handler -> write -> record
            |              |
            '--------------'-> whatever is raised, as an answer in the shape of the route's protocol

Nothing else turns exceptions into answers. Never logs texts, features, vectors or keys.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from app.access import CALLER, NOBODY
from app.engine import Draining
from app.http.authentication import check_key
from app.http.context import Context
from app.http.head import check_head
from app.http.request import DirectRequest
from app.http.routes import Route
from app.metrics import Metrics
from app.shared.log import REQUEST_ID

CLIENT_LEFT = 499  # nobody reads it; it tells the metrics what happened
ID_HEADER = b"x-request-id"
NO_SNIFFING = (b"x-content-type-options", b"nosniff")  # a browser takes no answer for another type
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")  # goes into logs and headers, so nothing else gets in
_KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

Check: TypeAlias = Callable[[Context, Route, Request], None]
Write: TypeAlias = Callable[[Response], Awaitable[None]]

log = structlog.get_logger("encodery")


async def answer(context: Context, route: Route, request: Request, write: Write) -> None:
    """Answer a request, whatever happens, and record it.

    Args:
        context: the parts of the app.
        route: what `Routes.find` found.
        request: its body may still be on its way.
        write: sends the answer.
    """
    started_s = time.perf_counter()
    method = request.scope["method"]
    request_id = _id_of(request.scope["headers"])
    token = REQUEST_ID.set(request_id.decode())
    try:
        response = await _respond(context, route, request)
        response.raw_headers += [(ID_HEADER, request_id), NO_SNIFFING]
        if context.cors is not None:
            context.cors.add_headers(request, response)
        if method == "HEAD":
            response.body = b""  # its headers are those of GET, its length too
        try:
            await write(response)
        finally:
            _record(context.metrics, route, method, response.status_code, time.perf_counter() - started_s)
            if context.gate is not None and (caller := CALLER.get()) is not NOBODY:
                context.metrics.key_request(caller.key.name, response.status_code)
    finally:
        REQUEST_ID.reset(token)


async def _respond(context: Context, route: Route, request: Request) -> Response:
    try:
        if context.cors is not None and (preflight := context.cors.preflight(request)) is not None:
            return preflight
        for check in CHECKS:
            check(context, route, request)
        response = await route.handler(context, request)
        _refuse_line_breaks(response)
        return response
    except ClientDisconnect:
        return Response(status_code=CLIENT_LEFT)
    except asyncio.CancelledError:
        if not isinstance(request, DirectRequest):
            raise  # another server's own affair
        return Response(status_code=CLIENT_LEFT) if request.is_abandoned else route.error(Draining())
    except BaseException as error:  # what native code throws must not end a connection without an answer
        return route.error(error)


def check_admission(context: Context, route: Route, request: Request) -> None:
    """Refuse by its head what would be refused when its body has been read and parsed."""
    if route.admission is not None:
        route.admission(context, request)


CHECKS: tuple[Check, ...] = (check_head, check_key, check_admission)
"""What every request must pass, in order; each check raises what is wrong.

The key comes after the head, which may be forged, and before admission, which tells how busy the server is.
"""


def _refuse_line_breaks(response: Response) -> None:
    """Raise ValueError where a header's value would begin another header, or another answer."""
    values = b"".join([value for _, value in response.raw_headers])
    if b"\n" in values or b"\r" in values:
        raise ValueError("a line break in a header")


def _id_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the id that the caller gave the request, or a new one."""
    for name, value in headers:
        if name == ID_HEADER and _SANE_ID.fullmatch(value):
            return value
    return b"%032x" % random.getrandbits(128)


def _record(metrics: Metrics, route: Route, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered, and log it at debug."""
    method = method if method in _KNOWN_METHODS else "other"
    metrics.request(route=route.path, method=method, status=status, seconds=seconds)
    log.debug("request", method=method, route=route.path, status=status, ms=round(seconds * 1e3, 2))
