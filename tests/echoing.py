"""A small app in a real server: its routes echo, wait, fail and stream; its context tells what happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request, Response
from sockets import listening
from starlette.responses import StreamingResponse

from app.engine import ARRIVAL, Overloaded
from app.engine.engine import Arrival
from app.http.application import Application
from app.http.body import read_body
from app.http.context import Ctx
from app.http.descriptors import Descriptors
from app.http.errors import InvalidRequest
from app.http.proxies import Proxies
from app.http.room import Room
from app.http.routes import RouteGroup
from app.metrics import Metrics
from app.settings import Settings

routes = RouteGroup()


def _refuse(context: Any, request: Request) -> None:
    raise Overloaded("the server is busy: a test says so", 3.0)


class Context:
    """What a route gets: here, what happened."""

    gate = cors = traces = None
    in_work = 0

    def __init__(self, **settings: Any) -> None:
        self.metrics = Metrics()
        self.settings = Settings(max_body_bytes=100_000, **settings)
        self.descriptors = Descriptors()
        self.proxies = Proxies(self.settings.trusted_proxies, self.settings.root_path)
        self.room = Room(self.settings.max_bodies_bytes)
        self.arriving: dict[Any, float] = {}  # as of an engine
        self.started, self.released, self.cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()  # of the server, as the next
        self.connections: set[Any] = set()

    def counted(self, status: int, route: str = "/echo", method: str = "POST") -> float | None:
        labels = {"route": route, "method": method, "status": str(status)}
        return self.metrics.registry.get_sample_value("encodery_requests_total", labels)


@routes.post("/echo")
async def echo(context: Any, request: Request) -> Response:
    """The body, and how it was sent."""
    body = await read_body(context, request)
    return Response(body, headers={"X-Query": request.url.query, "X-Kind": request.headers.get("kind", "")})


@routes.post("/wait")
async def wait(context: Any, request: Request) -> Response:
    """For ever."""
    context.started.set()
    try:
        await asyncio.Event().wait()
    finally:
        context.cancelled.set()
    raise AssertionError("nothing sets the event")


@routes.post("/later")
async def later(context: Any, request: Request) -> Response:
    """The body, when the test says so."""
    body = await read_body(context, request)
    context.started.set()
    await context.released.wait()
    return Response(body)


@routes.post("/large")
async def large(context: Any, request: Request) -> Response:
    """More than the buffers of two sockets hold."""
    return Response(bytes(64 << 20))


@routes.post("/busy", admission=_refuse)
async def busy(context: Any, request: Request) -> Response:
    """Never."""
    raise AssertionError("it was refused")


def _expect_and_leave(context: Any, request: Any) -> None:
    ARRIVAL.set(Arrival(context.arriving, context, 1.0))
    request._incoming.leave()  # the client does, before its request has a task
    context.started.set()


@routes.post("/left", admission=_expect_and_leave)
async def left(context: Any, request: Request) -> Response:
    """Never."""
    raise AssertionError("nobody waits for it")


@routes.post("/fail")
async def fail(context: Any, request: Request) -> Response:
    """In one of three ways."""
    match (await read_body(context, request)).decode():
        case "ours":
            raise InvalidRequest("no", code="wrong_type")
        case "bug":
            raise ZeroDivisionError("secret")
        case _:
            raise PanicException("secret")


@routes.post("/stream")
async def stream(context: Any, request: Request) -> Response:
    """Part by part."""
    return StreamingResponse(iter([b"one\n", b"two\n"]))


@routes.post("/breaking")
async def breaking(context: Any, request: Request) -> Response:
    """A part, and then no more."""

    def parts() -> Iterator[bytes]:
        yield b"one\n"
        raise ZeroDivisionError("secret")

    return StreamingResponse(parts())


@routes.get("/hello")
async def hello(context: Ctx) -> dict[str, str]:
    """By FastAPI."""
    return {"hello": "you"}


@routes.get("/wait")
async def wait_by_fastapi(context: Ctx) -> Response:
    """For ever, by FastAPI."""
    return await wait(context, None)


@routes.post("/broken")
async def broken(context: Any, request: Request) -> Response:
    """With a second header in the first one's value."""
    return Response(b"", headers={"X-Name": "a\r\nContent-Length: 5"})


class PanicException(BaseException):
    """Like pyo3's: not an Exception."""


@asynccontextmanager
async def echoing(**settings: Any) -> AsyncIterator[tuple[int, Context]]:
    """A server of it: its port, and what happens."""
    app = Application((routes,))
    app.state.context = context = Context(**settings)
    async with listening(app) as (port, server):
        context.tasks, context.connections = server.server_state.tasks, server.server_state.connections
        yield port, context
