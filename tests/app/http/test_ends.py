"""Who sends no more: a client that waits for its answers, or one that is gone. And what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
from echoing import echoing
from sockets import GIVE_UP_S, chunked, head, post, read_answer

from app.http.connection import Connection
from app.http.exchange import Exchange

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(GIVE_UP_S):
        while not holds():
            await asyncio.sleep(0.005)


def leave(writer: asyncio.StreamWriter, how: str) -> None:
    if how == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.close()


def those_of(kind: type) -> list[Any]:
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is kind]


@pytest.mark.parametrize(
    "request_", [post("/echo", b"hello"), chunked("/echo", b"hello", size=2), head("/hello", method="GET")]
)
async def test_a_request_is_answered_though_the_client_ends_with_it(request_: bytes) -> None:
    async with echoing() as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_)
        writer.write_eof()
        answer = await read_answer(reader)
        end = await asyncio.wait_for(reader.read(), GIVE_UP_S)
        writer.close()

    assert (answer.status, end) == (200, b"")


async def test_what_takes_longer_is_answered_too_behind_a_word_that_every_client_takes() -> None:
    """`100 Continue` is how a client that is gone is found out: its system would answer with a reset."""
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later", b"one") + post("/echo", b"two") + post("/echo", b"x" * 90)[:-9])
        writer.write_eof()
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        context.released.set()
        found = [await read_answer(reader) for _ in range(3)]
        end = await asyncio.wait_for(reader.read(), GIVE_UP_S)
        writer.close()

    assert [(answer.status, answer.body) for answer in found[:2]] == [(200, b"one"), (200, b"two")]
    assert (found[2].status, found[2].headers["connection"], end) == (400, "close", b"")


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize(
    "behind", [b"", post("/echo", b"next"), post("/echo", b"next") * 50, post("/echo", b"x" * 90_000)]
)
async def test_work_for_a_client_that_left_is_dropped_and_what_it_sent_behind_is_not_begun(
    how: str, behind: bytes
) -> None:
    async with echoing() as (port, context):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/wait") + behind)
        await asyncio.wait_for(context.started.wait(), 5)
        leave(writer, how)
        await asyncio.wait_for(context.cancelled.wait(), 5)
        await until(lambda: not context.connections)
        await until(lambda: context.counted(499, "/wait"))

        assert context.counted(200) is None
        assert not those_of(Connection)


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("said", [b"", post("/echo")[:9], post("/echo"), post("/nowhere", b"x")[:-1]])
async def test_a_client_that_left_takes_no_memory(how: str, said: bytes) -> None:
    """Though an idle connection would be kept for a while."""
    async with echoing() as (port, context):
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            if said.endswith(b"\r\n\r\n"):
                await read_answer(reader)
            await asyncio.sleep(0.01)
            leave(writer, how)
        await until(lambda: not context.connections)

        assert not those_of(Connection)


async def test_requests_that_are_sent_at_once_are_not_kept_as_requests() -> None:
    """But for few; the others wait as bytes, and most of them in the client."""
    async with echoing() as (port, context):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/later"))
        await asyncio.wait_for(context.started.wait(), 5)
        count = 20_000
        writer.write(head("/hello", method="GET") * count)
        await asyncio.sleep(0.2)
        kept, (connection,) = len(those_of(Exchange)), those_of(Connection)
        assert kept < 50
        assert len(connection._unparsed) <= 256 * 1024
        context.released.set()
        for _ in range(500):
            assert (await read_answer(reader)).status == 200
        writer.transport.abort()


@pytest.mark.parametrize("behind", [b"", head("/hello", method="GET"), b"x" * 1_000_000])
async def test_the_last_answer_comes_whatever_was_sent_behind_its_request(behind: bytes) -> None:
    """Closed with something unread, the server's system would send a reset, and the answer be lost."""
    async with echoing() as (port, context):
        for last in (post("/echo", b"last", "Connection: close"), head("/hello", "Host: b", method="GET")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(last)
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(behind)
            await asyncio.sleep(0.01)
            answer = await read_answer(reader)
            assert answer.headers["connection"] == "close"
            assert await asyncio.wait_for(reader.read(), GIVE_UP_S) == b""
            writer.close()
        await until(lambda: not context.connections)
