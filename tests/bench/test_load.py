"""The load generator: it counts what came back, and hides no wait."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.load import Load, LoadResult, Run
from bench.texts import bodies, texts

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
Answer = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[int]:
    """A server that answers each request by that function of its body; the port."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                writer.write(await answer(await reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)  # so that the transports are closed before the loop is


async def measured(answer: Answer, **how: float) -> LoadResult:
    async with serving(answer) as port:
        settings = {"seconds": 0.3, "warm_s": 0.05} | how
        load = Load("127.0.0.1", port, "/encode", [b"a", b"bb"], **settings)  # type: ignore[arg-type]
        return await Run(Load.from_json(load.to_json())).measure()


async def test_a_closed_loop_has_each_caller_waiting_for_its_answer() -> None:
    """3 callers and 20 ms an answer: never more than 3 at once, 45 in 0.3 s at the most."""
    at_once, most = 0, 0

    async def answer(body: bytes) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.02)
        at_once -= 1
        return OK

    found = await measured(answer, callers=3)

    assert most == 3
    assert 1 <= found.ok <= 45
    assert found.latency_ms["p50"] >= 20


async def test_an_open_loop_counts_from_the_time_a_request_was_due() -> None:
    """A server that stalls once makes all late that were due meanwhile, sent or not."""
    stalled = False

    async def answer(body: bytes) -> bytes:
        nonlocal stalled
        if not stalled:
            stalled = True
            time.sleep(0.2)  # nothing is read meanwhile, which is the point
        return OK

    found = await measured(answer, rate=300.0)

    assert found.latency_ms["p99"] >= 50
    assert found.late < found.ok  # none, on a machine with nothing else to do


async def test_what_is_answered_after_the_counted_time_is_not_done() -> None:
    """A server that holds everything back till after it did nothing in time."""
    ends_s = time.monotonic() + 0.6

    async def answer(body: bytes) -> bytes:
        await asyncio.sleep(ends_s - time.monotonic())
        return OK

    found = await measured(answer, rate=100.0)

    assert found.ok > 0
    assert found.done == 0
    assert found.late == 0


async def test_what_is_answered_after_its_deadline_is_not_done() -> None:
    async def answer(body: bytes) -> bytes:
        await asyncio.sleep(0.0 if body == b"a" else 0.2)
        return OK

    found = await measured(answer, rate=100.0, seconds=1.0, deadline_s=0.15)

    assert 0 < found.done < found.ok


async def test_rates_change_in_steps_and_each_second_is_told() -> None:
    async def answer(body: bytes) -> bytes:
        return OK

    found = await measured(answer, seconds=2.0, steps=[(0.5, 20.0), (0.5, 200.0)])
    slow, fast = found.by_second

    assert slow["offered"] < 60 < fast["offered"]
    assert slow["offered"] + fast["offered"] == found.offered
    assert slow["others"] == fast["others"] == 0


async def test_a_load_that_cannot_be_sent_in_time_says_so() -> None:
    """Here the server stops the generator's own process."""

    async def answer(body: bytes) -> bytes:
        time.sleep(0.05)
        return OK

    found = await measured(answer, rate=200.0)

    assert found.sent_late_ms["p99"] >= 20


async def test_a_connection_that_the_server_closes_is_replaced() -> None:
    closing = OK.replace(b"Content-Length", b"Connection: close\r\nContent-Length")

    async def answer(body: bytes) -> bytes:
        return closing

    found = await measured(answer, rate=100.0)

    assert found.broken == found.late == 0
    assert found.ok == found.offered > 0


async def test_refusals_and_broken_connections_are_counted_apart() -> None:
    async def answer(body: bytes) -> bytes:
        return OK if body == b"a" else BUSY

    found = await measured(answer, callers=2)

    assert set(found.statuses) == {"200", "429"}
    assert abs(found.statuses["200"] - found.statuses["429"]) <= 2
    assert found.broken == 0


@pytest.mark.parametrize("per_request", [1, 32])
def test_bodies_hold_every_text_once(per_request: int) -> None:
    some = texts(64)
    sent = [json.loads(body) for body in bodies(some, per_request, model="text")]

    flat = [one for body in sent for one in ([body["inputs"]] if per_request == 1 else body["inputs"])]
    assert flat == some
    assert {body["model"] for body in sent} == {"text"}
    assert all(5 <= len(text.split()) <= 60 for text in some)
