"""The connection in a real server: what goes over the socket, request by request."""

from __future__ import annotations

import asyncio
import json

import pytest
from echoing import echoing
from sockets import chunked, head, post, read_answer

from app.http.bounds import LINGER_BYTES


async def test_a_request_is_answered_and_counted() -> None:
    async with echoing() as (port, context):
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
    async with echoing() as (port, context):
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


async def test_long_pieces_of_a_body_are_no_framing() -> None:
    """By Content-Length: nothing can stand around its chunks, for there are none."""
    body = bytes(range(256)) * 380  # 97 kB
    request = post("/echo", body)
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for start in range(0, len(request), 30_000):
            writer.write(request[start : start + 30_000])
            for _ in range(50):  # turns of the loop, until the piece was read
                await asyncio.sleep(0)
        status, _, found = await read_answer(reader)
        writer.close()

    assert (status, found) == (200, body)


@pytest.mark.parametrize("size", [1, 7, 64, 70_000])
async def test_a_body_may_come_in_pieces(size: int) -> None:
    """By Content-Length and in chunks; larger than what uvicorn buffers, too."""
    body = bytes(range(256)) * 380  # 97 kB
    sent = [post("/echo", body), chunked("/echo", body)]
    async with echoing() as (port, _):
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
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", length=100_001))
        status, headers, body = await read_answer(reader)
        end = await reader.read()
        writer.close()

    assert (status, headers["connection"], end) == (413, "close", b"")
    assert json.loads(body)["error"]["code"] == "body_too_large"


async def test_a_refusal_reaches_who_is_still_sending() -> None:
    """A client that reads only when it has sent everything finds the answer, and no reset."""
    async with echoing() as (port, context):
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
    async with echoing() as (port, _):
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
    async with echoing() as (port, _):
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
    async with echoing() as (port, _):
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


async def test_a_bad_head_is_refused() -> None:
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/echo", "Host: b", length=0))
        status, headers, body = await read_answer(reader)
        writer.close()

    assert (status, headers["connection"]) == (400, "close")
    assert json.loads(body)["error"]["code"] == "invalid_headers"


async def test_the_target_of_a_request_may_be_a_whole_url() -> None:
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("http://a/echo?a=1", b"x") + post("/%65cho", b"y"))
        whole, encoded = await read_answer(reader), await read_answer(reader)
        writer.close()

    assert (whole.status, whole.headers["x-query"], whole.body) == (200, "a=1", b"x")
    assert (encoded.status, encoded.body) == (200, b"y")


@pytest.mark.parametrize("start", ["POST /a b HTTP/1.1", "POST\x00 / HTTP/1.1", "PRI * HTTP/2.0", "hello"])
async def test_what_is_no_http_is_refused_and_the_connection_closed(start: str) -> None:
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{start}\r\nHost: a\r\n\r\n".encode())
        status, headers, _ = await read_answer(reader)
        end = await reader.read()
        writer.close()

    assert (status, headers["connection"], end) == (400, "close", b"")
