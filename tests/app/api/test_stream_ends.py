"""A stream whose client leaves is not computed on, and one to HTTP/1.0 has no chunks."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import orjson
import pytest
from sockets import head, listening, post

from app.api.stream import CHUNK_LINES, NDJSON

GIVE_UP_S = 30.0
RESET = struct.pack("ii", 1, 0)  # of SO_LINGER
TYPE = f"Content-Type: {NDJSON}"
LINES = b"".join(orjson.dumps(f"cat {number}") + b"\n" for number in range(20 * CHUNK_LINES))


@pytest.mark.parametrize("sent", [len(LINES), len(LINES) // 2], ids=["all was sent", "half was"])
@pytest.mark.parametrize("is_polite", [False, True])
async def test_what_its_client_left_is_not_computed(
    serving: Any, only: Any, fake: Any, sent: int, is_polite: bool
) -> None:
    encoder = fake()
    limits = {"threads": 1, "max_queue_items": 1000}
    async with serving(only(encoder), **limits) as client, listening(client.app) as (port, _):
        engine = client.app.state.context.engine
        encoder.hold()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post("/encode", LINES, TYPE)[: sent - len(LINES) or None])
        await _until(encoder.entered.is_set)
        if not is_polite:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()
        encoder.gate.set()
        await _until(lambda: engine.items == 0)

    assert sum(encoder.batches) < 10 * CHUNK_LINES


async def test_http_1_0_gets_lines_to_the_end_of_the_connection(serving: Any, registry: Any) -> None:
    async with serving(registry) as client, listening(client.app) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head("/encode", TYPE, length=len(LINES), version="1.0") + LINES)
        answer = await asyncio.wait_for(reader.read(), GIVE_UP_S)
        writer.close()

    said, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in said.lower()
    assert b"connection: close" in said.lower()
    *lines, last = map(orjson.loads, body.splitlines())
    assert last == {"done": True, "lines": 20 * CHUNK_LINES}
    assert [line["index"] for line in lines] == list(range(20 * CHUNK_LINES))


async def _until(condition: Any) -> None:
    async with asyncio.timeout(GIVE_UP_S):
        while not condition():
            await asyncio.sleep(0.001)
