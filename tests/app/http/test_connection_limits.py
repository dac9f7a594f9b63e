"""What a connection takes and keeps is bounded, in time and in bytes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from echoing import echoing
from sockets import GIVE_UP_S, chunked, head, post, read_answer

from app.http.reading import HEAD_BYTES

SHORT: dict[str, Any] = {"head_timeout_s": 0.2, "answer_timeout_s": 0.2}
FIRST = post("/echo", b"first")
HALF = b"POST /echo HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("before", "part"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"", HALF),
        (b"", HALF + b"Host: a\r\nX: "),
        (FIRST, b"\r\n"),
        (FIRST, HALF),
    ],
)
async def test_a_head_that_does_not_come_is_not_waited_for(before: bytes, part: bytes) -> None:
    """On a new connection, and on one that is kept."""
    async with echoing(**SHORT) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(before)
        if before:
            assert (await read_answer(reader)).status == 200
        writer.write(part)
        rest = await asyncio.wait_for(reader.read(), GIVE_UP_S)
        writer.close()

    assert rest.startswith(b"HTTP/1.1 408") == (b"HTTP" in part)


async def test_a_head_that_does_not_end_is_refused() -> None:
    async with echoing() as (port, _):
        for line in (b"X: y\r\n", b"z" * 64):  # many headers; a long one
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /echo HTTP/1.1\r\nX: " + line * (4 * HEAD_BYTES // len(line)))
            assert (await asyncio.wait_for(reader.read(), GIVE_UP_S)).startswith(b"HTTP/1.1 431")
            writer.close()


async def test_what_stands_behind_a_body_is_no_header() -> None:
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        trailer = chunked("/echo", b"body")[:-2] + b"Kind: trailer\r\nHost: b\r\n\r\n"
        writer.write(trailer + post("/echo", b"next"))
        first, second = await read_answer(reader), await read_answer(reader)
        writer.close()

    assert (first.status, first.body, first.headers["x-kind"]) == (200, b"body", "")
    assert (second.status, second.body) == (200, b"next")


async def test_an_answer_that_nobody_reads_is_not_kept() -> None:
    async with echoing(**SHORT) as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(post("/large"))
        await reader.readuntil(b"\r\n")
        async with asyncio.timeout(GIVE_UP_S):  # what it waits for is the claim
            while context.connections:
                await asyncio.sleep(0.01)
        writer.close()


@pytest.mark.parametrize("path", ["/nowhere", "/hello", "/fail"])
async def test_an_answer_before_a_large_body_is_received_whatever_it_says(path: str) -> None:
    """And the connection goes on where the rest has come."""
    async with echoing(body_timeout_s=5) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head(path, length=5_000_000))
        for _ in range(50):
            writer.write(b"x" * 100_000)
            await writer.drain()
        first = await read_answer(reader)
        assert first.status in {404, 405, 413}
        if first.headers.get("connection") != "close":
            writer.write(post("/echo", b"next"))
            assert (await read_answer(reader)).body == b"next"
        writer.close()


@pytest.mark.parametrize(
    "behind",
    [b"@@@ junk\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", HALF + b"X: " + b"y" * 200_000],
)
async def test_what_is_wrong_behind_a_request_takes_nothing_from_its_answer(behind: bytes) -> None:
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/echo", b"x" * 90_000) + behind)
        first = await read_answer(reader)
        await asyncio.wait_for(reader.read(), GIVE_UP_S)  # a refusal, or nothing; and the end
        writer.close()

    assert (first.status, len(first.body)) == (200, 90_000)
    assert context.counted(200) == 1


async def test_a_body_before_it_is_no_part_of_a_head() -> None:
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = post("/echo", b"x" * 95_000) + post("/echo", b"second")
        writer.write(whole[:-30])
        assert (await read_answer(reader)).status == 200
        writer.write(whole[-30:])
        assert (await read_answer(reader)).body == b"second"
        writer.close()
