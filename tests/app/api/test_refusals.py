"""Overload at one model: who asks for it is refused unread, and who asks for another is not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from sockets import listening, read_answer

from app.engine import Loaded, Model, Registry


def _body(text: str, **fields: str) -> bytes:
    return json.dumps({"inputs": text} | fields).encode()


def _request(path: str, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


async def _answered(port: int, path: str, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request(path, body))
    status, _, _ = await asyncio.wait_for(read_answer(reader), 30)
    writer.close()
    return status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/encode", _body("hello", model="busy"), 429),
        ("/encode", _body("hello"), 429),  # the default model
        ("/encode", _body("x" * 5000, model="busy"), 429),  # named behind what is looked at first
        ("/encode", _body("hello", model="other"), 200),
        ("/encode", _body('"model": "busy"', model="other"), 200),  # a text, in which quotes are escaped
        ("/v1/embeddings", json.dumps({"model": "busy", "input": "hello"}).encode(), 429),
        ("/v1/embeddings", json.dumps({"model": "other", "input": "hello"}).encode(), 200),
        ("/encode", b"{not JSON", 429),  # nobody parses it
        ("/encode", _body("hello", model="nobody"), 404),  # it may be anybody's
    ],
)
async def test_a_busy_model_refuses_its_own_requests_only(
    serving: Any, fake: Any, path: str, body: bytes, status: int
) -> None:
    encoder = fake()
    busy, other = Loaded(fake()), Loaded(encoder)
    busy.pace.measured("interactive", cost=1, size=1, elapsed_s=10.0, cpu_s=10.0)  # seconds for a token
    other.pace.measured("interactive", cost=1000, size=1000, elapsed_s=0.1, cpu_s=0.1)
    models = {name: Model(name, "1", {"1": one}) for name, one in (("busy", busy), ("other", other))}
    settings = {"threads": 1, "default_model": "busy", "max_wait_s": 5.0, "request_timeout_s": 300.0}
    settings["max_queue_items"] = 4  # two are a crowd, before which requests are looked at unparsed
    encoder.hold()
    async with serving(Registry(models), **settings) as client, listening(client.app) as (port, _):
        engine = client.app.state.context.engine
        first = asyncio.create_task(_answered(port, "/encode", _body("hello", model="other")))
        await _until(encoder.entered.is_set)
        second = asyncio.create_task(_answered(port, "/encode", _body("hello", model="busy")))
        await _until(lambda: engine.queued(busy)[0] == 1)

        asked = asyncio.create_task(_answered(port, path, body))
        await _until(lambda: asked.done() or engine.queued(other)[0] == 1)
        encoder.gate.set()

        assert await asked == status
        assert (await first, await second) == (200, 200)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)
