"""The one way of every request, whoever read it from a socket: `app.http.connection`, or another ASGI server.

    id -> CHECKS -> the route's handler -> write -> record
            |              |
            '--------------'-> whatever is raised, as an answer in the shape of the route's protocol

The checks need no more than the head, and await nothing, so that a request that they refuse costs little.

Nothing else turns exceptions into answers. Never logs texts, features, vectors or keys.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from app.access import CALLER, NOBODY
from app.engine import ARRIVAL, Draining, Overloaded
from app.http.authentication import check_key
from app.http.context import SPLIT_KEY, Context
from app.http.head import check_head
from app.http.origin import check_origin
from app.http.request import DirectRequest
from app.http.routes import ErrorAnswer, Route
from app.shared.log import REQUEST_ID
from app.tracing import Part, Traces

CLIENT_LEFT = 499  # nobody reads it; it tells the metrics what happened
ID_HEADER = b"x-request-id"
SPLIT_HEADER = b"x-split-key"
NO_SNIFFING = (b"x-content-type-options", b"nosniff")  # a browser takes no answer for another type
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")  # goes into logs and headers, so nothing else gets in
_KNOWN_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

Check: TypeAlias = Callable[[Context, Route, Request], None]
Write: TypeAlias = Callable[[Response], Awaitable[None]]

log = structlog.get_logger("encodery")


class Handling:
    """A request on its way: what its head gets it first, then what its handler answers.

    Args:
        context: the parts of the app.
        route: what `Routes.find` found.
        request: its body may still be on its way.
    """

    __slots__ = ("_context", "_id", "_parts", "_request", "_route", "_started_s")

    def __init__(self, context: Context, route: Route, request: Request) -> None:
        self._context, self._route, self._request = context, route, request
        self._started_s = time.perf_counter()
        self._id = _id_of(request.scope["headers"])
        self._parts: Sequence[Part] = ()  # what was encoded for it, for its trace

    def refuse(self) -> Response | None:
        """Return the answer to a request that goes no further than the checks.

        Nothing is awaited: under overload this is all that a request costs. Who asks, and the request's id,
        are remembered in the context of variables that this is called in.
        """
        REQUEST_ID.set(self._id.decode())
        SPLIT_KEY.set(_split_key_of(self._request.scope["headers"]))
        if self._context.traces is not None:
            self._parts = self._context.traces.begin()
        try:
            cors = self._context.cors
            if cors is not None and (preflight := cors.preflight(self._request)) is not None:
                return self._completed(preflight)
            for check in CHECKS:
                check(self._context, self._route, self._request)
        except Overloaded as error:
            refused = _overloaded(self._route.error, str(error), error.retry_after_s)
            return self._completed(_Copy(refused))
        except BaseException as error:  # what native code throws must not end a connection without an answer
            return self._completed(self._route.error(error))
        self._context.in_work += 1
        return None

    async def respond(self) -> Response:
        """Return the handler's answer, whatever happens, to a request that passed the checks."""
        route, request = self._route, self._request
        try:
            response = await route.handler(self._context, request)
            _refuse_line_breaks(response)
        except ClientDisconnect:
            response = Response(status_code=CLIENT_LEFT)
        except asyncio.CancelledError:
            if not isinstance(request, DirectRequest):
                raise  # another server's own affair
            left = request.is_abandoned
            response = Response(status_code=CLIENT_LEFT) if left else route.error(Draining())
        except BaseException as error:
            response = route.error(error)
        finally:
            self.leave()
        return self._completed(response)

    def leave(self) -> None:
        """Give back what the request held: its handler has ended, or will never begin."""
        self._context.in_work -= 1
        self._context.room.leave(self._request.scope)
        if (arrival := ARRIVAL.get()) is not None:
            arrival.end()

    def _completed(self, response: Response) -> Response:
        response.raw_headers += [(ID_HEADER, self._id), NO_SNIFFING]
        if self._context.cors is not None:
            self._context.cors.add_headers(self._request, response)
        if self._request.scope["method"] == "HEAD":
            response.body = b""  # its headers are those of GET, its length too
        return response

    def record(self, status: int) -> None:
        """Count a request that was answered, and log it at debug."""
        context, path, method = self._context, self._route.path, self._request.scope["method"]
        seconds = time.perf_counter() - self._started_s
        if method not in _KNOWN_METHODS:
            method = "other"
        context.metrics.request(route=path, method=method, status=status, seconds=seconds)
        if context.traces is not None:
            self._trace(context.traces, f"{method} {path}", status, seconds)
        if context.settings.log_level == "debug":  # structlog takes 2 us to find out
            milliseconds = round(seconds * 1e3, 2)
            log.debug("request", method=method, route=path, status=status, ms=milliseconds)
        if context.gate is not None and (caller := CALLER.get()) is not NOBODY:
            context.metrics.key_request(caller.key.name, status)

    def _trace(self, traces: Traces, name: str, status: int, seconds: float) -> None:
        scope = self._request.scope
        attributes = {
            "http.request.method": scope["method"] if scope["method"] in _KNOWN_METHODS else "_OTHER",
            "http.route": self._route.path,
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
            "encodery.request_id": self._id.decode(),
        }
        traces.request(self._parts, scope["headers"], attributes, name=name, status=status, seconds=seconds)


async def answer(context: Context, route: Route, request: Request, write: Write) -> None:
    """Answer a request, whatever happens, and record it.

    Args:
        context: the parts of the app.
        route: what `Routes.find` found.
        request: its body may still be on its way.
        write: sends the answer.
    """
    handling = Handling(context, route, request)
    token = REQUEST_ID.set("")
    try:
        response = handling.refuse() or await handling.respond()
        try:
            await write(response)
        finally:
            handling.record(response.status_code)
    finally:
        REQUEST_ID.reset(token)


class _Copy(Response):
    """The same answer once more, which another request's headers are added to."""

    def __init__(self, of: Response) -> None:
        self.status_code, self.body, self.background = of.status_code, of.body, None
        self.raw_headers = list(of.raw_headers)


@lru_cache(maxsize=256)  # what is said over and over just when there is no time to lose
def _overloaded(answer: ErrorAnswer, message: str, retry_after_s: float) -> Response:
    return answer(Overloaded(message, retry_after_s))


def check_admission(context: Context, route: Route, request: Request) -> None:
    """Refuse by its head what would be refused when its body has been read and parsed."""
    if route.admission is not None:
        route.admission(context, request)


CHECKS: tuple[Check, ...] = (check_head, check_origin, check_key, check_admission)
"""What every request must pass, in order; each check raises what is wrong.

The key comes after the head, which may be forged, and before admission, which tells how busy the server is.
"""


def _refuse_line_breaks(response: Response) -> None:
    """Raise ValueError where a header's value would begin another header, or another answer."""
    values = b"".join([value for _, value in response.raw_headers])
    if b"\n" in values or b"\r" in values:
        raise ValueError("a line break in a header")


def _split_key_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return by what one of two versions that share an alias is chosen; empty if the caller sent nothing."""
    for name, value in headers:
        if name == SPLIT_HEADER:
            return value.decode("latin-1")
    return ""


def _id_of(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the id that the caller gave the request, or a new one."""
    for name, value in headers:
        if name == ID_HEADER and _SANE_ID.fullmatch(value):
            return value
    return b"%032x" % random.getrandbits(128)
