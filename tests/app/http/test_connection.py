"""The connection in a real server: what goes over the socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from fastapi import Request, Response
from sockets import chunked, head, listening, post, read_answer, read_head
from starlette.responses import StreamingResponse

from app.http.application import Application
from app.http.body import read_body
from app.http.connection import LINGER_BYTES
from app.http.context import Ctx
from app.http.errors import InvalidRequest
from app.http.routes import RouteGroup
from app.metrics import Metrics
from app.settings import Settings

routes = RouteGroup()


class Context:
    """What a route gets: here, what happened."""

    gate = cors = None

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.settings = Settings(max_body_bytes=100_000)
        self.started, self.cancelled = asyncio.Event(), asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()  # of the server

    def counted(self, status: int, route: str = "/echo", method: str = "POST") -> float | None:
        labels = {"route": route, "method": method, "status": str(status)}
        return self.metrics.registry.get_sample_value("encodery_requests_total", labels)


@routes.post("/echo")
async def echo(context: Any, request: Request) -> Response:
    """The body, and how it was sent."""
    body = await read_body(request, context.settings)
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


@routes.post("/fail")
async def fail(context: Any, request: Request) -> Response:
    """In one of three ways."""
    match (await read_body(request, context.settings)).decode():
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
async def serving() -> AsyncIterator[tuple[int, Context]]:
    app = Application((routes,))
    app.state.context = context = Context()
    async with listening(app) as (port, server):
        context.tasks = server.server_state.tasks
        yield port, context


async def test_a_request_is_answered_and_counted() -> None:
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/echo?a=1", b"hello", "X-Request-ID: mine", "Kind: first", "Kind: second"))
        status, headers, body = await read_answer(reader)
        writer.close()

    assert (status, body, headers["x-request-id"]) == (200, b"hello", "mine")
    assert (headers["x-query"], headers["x-kind"]) == ("a=1", "first")
    assert headers["date"] == "today"
    assert "connection" not in headers
    assert context.counted(200) == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Those to no route among them, all sent before the first answer."""
    bodies = [b"%d" % number for number in range(20)]
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, body in enumerate(bodies):
            writer.write(post("/nowhere" if number % 5 == 4 else "/echo", body))
        found = [await read_answer(reader) for _ in bodies]
        writer.close()

    assert [status for status, _, _ in found] == [404 if n % 5 == 4 else 200 for n in range(20)]
    assert [body for status, _, body in found if status == 200] == [
        body for n, body in enumerate(bodies) if n % 5 != 4
    ]
    assert context.counted(200) == 16


@pytest.mark.parametrize("size", [1, 7, 64, 70_000])
async def test_a_body_may_come_in_pieces(size: int) -> None:
    """By Content-Length and in chunks; larger than what uvicorn buffers, too."""
    body = bytes(range(256)) * 380  # 97 kB
    sent = [post("/echo", body), chunked("/echo", body)]
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in sent:
            for start in range(0, min(len(request), 50 * size), size):
                writer.write(request[start : start + size])
                await asyncio.sleep(0)
            writer.write(request[50 * size :])
            status, _, found = await read_answer(reader)
            assert (status, found) == (200, body)
        writer.close()


async def test_what_is_too_large_is_refused_by_its_head_and_the_connection_closed() -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", length=100_001))
        status, headers, body = await read_answer(reader)
        end = await reader.read()
        writer.close()

    assert (status, headers["connection"], end) == (413, "close", b"")
    assert json.loads(body)["error"]["code"] == "body_too_large"


async def test_a_refusal_reaches_who_is_still_sending() -> None:
    """A client that reads only when it has sent everything finds the answer, and no reset."""
    async with serving() as (port, context):
        for size in (200_000, 3_000_000, 20_000_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head("/echo", length=size))
            for _ in range(size // 100_000):
                writer.write(b"x" * 100_000)
                await writer.drain()
            answer = await read_answer(reader)

            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert await reader.read() == b""
            writer.close()
    assert context.counted(413) == 3


async def test_who_never_stops_sending_is_cut_off() -> None:
    async with serving() as (port, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", length=10**12))

        async def send_for_ever() -> None:
            for _ in range(4 * LINGER_BYTES // 1_000_000):
                writer.write(b"x" * 1_000_000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await send_for_ever()
        writer.close()


async def test_a_client_that_waits_for_leave_to_send_gets_it() -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", "Expect: 100-continue", length=3))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await read_answer(reader))[2] == b"abc"
        writer.close()


@pytest.mark.parametrize(
    ("request_head", "closes"),
    [
        (head("/echo", length=0), False),
        (head("/echo", "Connection: close", length=0), True),
        (head("/echo", length=0, version="1.0"), True),
    ],
)
async def test_a_connection_is_kept_or_closed_as_the_client_asks(request_head: bytes, closes: bool) -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_head)
        _, headers, _ = await read_answer(reader)
        assert headers.get("connection") == ("close" if closes else None)
        if closes:
            assert await reader.read() == b""
        else:
            writer.write(post("/echo", b"again"))
            assert (await read_answer(reader))[2] == b"again"
        writer.close()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_client_that_leaves_ends_the_work_for_it(method: str) -> None:
    """Whether the route is called directly or by FastAPI."""
    async with serving() as (port, context):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/wait", method=method))
        await asyncio.wait_for(context.started.wait(), 5)
        writer.close()
        await asyncio.wait_for(context.cancelled.wait(), 5)
        async with asyncio.timeout(5):
            while context.counted(499, "/wait", method) is None:
                await asyncio.sleep(0.01)

    assert context.counted(499, "/wait", method) == 1


async def test_what_is_in_work_when_the_server_waits_no_longer_is_told_so() -> None:
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/wait"))
        await asyncio.wait_for(context.started.wait(), 5)
        for task in context.tasks:
            task.cancel()
        status, headers, _ = await asyncio.wait_for(read_answer(reader), 5)
        writer.close()

    assert (status, int(headers["retry-after"]) >= 1) == (503, True)


@pytest.mark.parametrize(("how", "status"), [(b"ours", 422), (b"bug", 500), (b"panic", 500)])
async def test_whatever_is_raised_is_answered_and_tells_no_secret(how: bytes, status: int) -> None:
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/fail", how) + post("/echo", b"next"))
        failed, _, body = await read_answer(reader)
        after = await read_answer(reader)
        writer.close()

    assert failed == status
    assert b"secret" not in body
    assert json.loads(body)["error"]["message"]
    assert after[2] == b"next"
    assert context.counted(status, "/fail") == 1


async def test_a_bad_head_is_refused() -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", "Host: b", length=0))
        status, headers, body = await read_answer(reader)
        writer.close()

    assert (status, headers["connection"]) == (400, "close")
    assert json.loads(body)["error"]["code"] == "invalid_headers"


async def test_a_stream_goes_out_part_by_part_with_its_request_id() -> None:
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/stream", b"", "X-Request-ID: mine"))
        found = await reader.readuntil(b"0\r\n\r\n")
        writer.close()

    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x-request-id: mine\r\n" in found
    assert found.endswith(b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n")
    assert context.counted(200, "/stream") == 1


async def test_a_line_break_cannot_get_into_a_head() -> None:
    """The answer is an error of the server's; no second answer can be smuggled in."""
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/broken"))
        status, headers, _ = await read_answer(reader)
        writer.close()

    assert status == 500
    assert "x-name" not in headers


async def test_a_stream_that_breaks_ends_the_connection_and_is_logged_without_its_words() -> None:
    """What came is not passed off as the whole: the last chunk is missing."""
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with structlog.testing.capture_logs() as logs:
            writer.write(post("/breaking"))
            found = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert found.endswith(b"4\r\none\n\r\n")
    assert [entry["error"] for entry in logs if entry["event"] == "bug"] == ["ZeroDivisionError"]
    assert "secret" not in str(logs)
    assert context.counted(200, "/breaking") == 1


async def test_head_is_answered_like_get_without_the_body() -> None:
    """The next answer on the connection follows at once."""
    async with serving() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            head("/hello", method="HEAD") + head("/nowhere", method="HEAD") + head("/hello", method="GET")
        )
        status, headers = await read_head(reader)
        missing, _ = await read_head(reader)
        get = await read_answer(reader)
        writer.close()

    assert (status, missing, get.status) == (200, 404, 200)
    assert get.body == b'{"hello":"you"}'
    assert headers | {"x-request-id": ""} == get.headers | {"x-request-id": ""}
    assert context.counted(200, "/hello", "HEAD") == context.counted(200, "/hello", "GET") == 1


async def test_the_target_of_a_request_may_be_a_whole_url() -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("http://a/echo?a=1", b"x") + post("/%65cho", b"y"))
        whole, encoded = await read_answer(reader), await read_answer(reader)
        writer.close()

    assert (whole.status, whole.headers["x-query"], whole.body) == (200, "a=1", b"x")
    assert (encoded.status, encoded.body) == (200, b"y")


@pytest.mark.parametrize("start", ["POST /a b HTTP/1.1", "POST\x00 / HTTP/1.1", "PRI * HTTP/2.0", "hello"])
async def test_what_is_no_http_is_refused_and_the_connection_closed(start: str) -> None:
    async with serving() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{start}\r\nHost: a\r\n\r\n".encode())
        status, headers, _ = await read_answer(reader)
        end = await reader.read()
        writer.close()

    assert (status, headers["connection"], end) == (400, "close", b"")
