"""POST /encode with NDJSON: order, errors line by line, bounded memory, back-pressure, the bulk priority."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import numpy as np
import orjson
import pytest
import tiny

from app.api import stream
from app.api.arrow import ARROW
from app.engine import Registry
from bundle import Features, Text

SAME = 1e-5  # float32 through another batch shape
HEADERS = {"Content-Type": stream.NDJSON}


async def streamed(client: httpx.AsyncClient, body: Any, **options: Any) -> list[dict[str, Any]]:
    response = await client.post("/encode", content=body, params=options, headers=HEADERS)
    assert response.status_code == 200, response.text
    return [orjson.loads(line) for line in response.content.splitlines()]


def ndjson(values: list[Any]) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


async def test_a_line_per_line_in_order_whatever_the_blocks(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    texts = [f"{'the ' * (number % 9)}cat" for number in range(1000)]
    body = ndjson(texts).removesuffix(b"\n")

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 777):
            yield body[start : start + 777]

    *lines, last = await streamed(client, blocks())

    assert last == {"done": True, "lines": 1000}
    assert [line["index"] for line in lines] == list(range(1000))
    expected = registry.find("text").encoder.encode(list(map(Text, texts)))
    np.testing.assert_allclose([line["embedding"] for line in lines], expected, atol=SAME)


async def test_options_stand_in_the_query(client: httpx.AsyncClient, registry: Registry) -> None:
    users = [user for user in tiny.USERS if user] * 2
    options = {"model": "shop-user", "dimensions": 4, "now": "2023-11-14T22:13:20Z"}
    *lines, _ = await streamed(client, ndjson(users), **options)

    encoder = registry.find("shop-user").encoder
    expected = encoder.cut(encoder.encode([Features(user, tiny.NOW) for user in users]), 4)
    np.testing.assert_allclose([line["embedding"] for line in lines], expected, atol=SAME)
    assert any("unknown" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "status"),
    [({"model": "absent"}, 404), ({"dimensions": 5}, 422), ({"space": "sp_x"}, 412), ({"modle": "text"}, 422),
     ({"prompt": "query"}, 422),
     ({"dimensions": 4, "output": "binary"}, 422), ({"dimensions": "x"}, 422), ({"truncate": "middle"}, 422)],
)  # fmt: skip
async def test_what_is_wrong_with_all_lines_is_said_before_the_first(
    client: httpx.AsyncClient, options: dict[str, Any], status: int
) -> None:
    response = await client.post("/encode", content=b'"a"\n', params=options, headers=HEADERS)

    assert response.status_code == status
    assert response.json().keys() == {"error"}


async def test_a_bad_line_errs_alone_and_is_named_by_its_number(client: httpx.AsyncClient) -> None:
    lines = [
        b'"hello"',
        b"",
        b"{",
        b'""',
        b"7",
        b'{"history": []}',
        b'"\\ud800"',
        b'"world"',
        b'"%s"' % (b"the " * 30),
    ]
    found = await streamed(client, b"\n".join(lines))

    *answers, last = found
    errors = {line["index"]: line["error"] for line in answers if "error" in line}
    assert [line["index"] for line in answers if "embedding" in line] == [0, 6]
    codes = ["invalid_json", "empty_input", "wrong_kind", "wrong_kind", "invalid_json", "too_long"]
    assert {index: error["code"] for index, error in errors.items()} == dict(
        zip([1, 2, 3, 4, 5, 7], codes, strict=True)
    )
    assert "inputs[" not in str(errors)
    assert last == {"done": True, "lines": 8}


async def test_an_odd_first_line_spoils_no_other(client: httpx.AsyncClient) -> None:
    first, second, third, _ = await streamed(client, ndjson([{"id": 1}, "hello", "world"]))

    assert first["error"]["code"] == "wrong_kind"
    assert {"embedding"} <= second.keys() & third.keys()


async def test_a_line_of_any_length_is_bounded_and_the_next_is_read(serving: Any, registry: Registry) -> None:
    async with serving(registry, max_chars_per_item=100) as client:
        body = b'"' + b"a" * 1_000_000 + b'"\n"' + b"b" * 200 + b'"\n"hello"\n'
        first, second, third, _ = await streamed(client, body)

    assert first["error"]["code"] == second["error"]["code"] == "too_large"
    assert len(third["embedding"]) == tiny.DIM


async def test_a_vector_that_fails_is_one_line(serving: Any, only: Any, fake: Any) -> None:
    def spoil(batch: Any) -> None:
        if any(tiny.WORDS.index("red") in one.arrays["input_ids"] for one in batch):
            raise RuntimeError("secret")

    async with serving(only(fake(spoil))) as client:
        *lines, _ = await streamed(client, ndjson(["hello", "red", "world"]))

    assert [line.keys() & {"embedding", "error"} for line in lines] == [
        {"embedding"},
        {"error"},
        {"embedding"},
    ]
    assert lines[1]["error"]["code"] == "encoder_failed"
    assert "secret" not in str(lines)


@pytest.mark.parametrize("output", ["float16", "int8", "ubinary"])
async def test_types_and_base64_hold_here_too(client: httpx.AsyncClient, output: str) -> None:
    *numbers, _ = await streamed(client, ndjson(["hello", "world"]), output=output)
    *coded, _ = await streamed(client, ndjson(["hello", "world"]), output=output, encoding="base64")
    expected = (await client.post("/encode", json={"inputs": ["hello", "world"], "output": output})).json()

    assert [line["embedding"] for line in numbers] == expected["embeddings"]
    assert all(isinstance(line["embedding"], str) for line in coded)


@pytest.mark.parametrize("accept", [stream.NDJSON, ARROW])
async def test_nothing_more_is_read_than_what_is_in_work(
    serving: Any, only: Any, fake: Any, accept: str
) -> None:
    """While forward passes are held, an endless body is taken up to the chunks in flight and no further."""
    encoder, taken = fake(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b'"hello"\n'

    async with serving(only(encoder)) as client:
        encoder.hold()
        headers = HEADERS | {"Accept": accept}
        sending = asyncio.create_task(client.post("/encode", content=endless(), headers=headers))
        while taken < stream.IN_FLIGHT * stream.CHUNK_LINES:
            await asyncio.sleep(0)
        for _ in range(1000):  # turns of the loop, each of which could take more
            await asyncio.sleep(0)
        assert taken <= stream.IN_FLIGHT * stream.CHUNK_LINES + 2
        sending.cancel()
        encoder.gate.set()
        await asyncio.gather(sending, return_exceptions=True)


async def test_a_full_queue_is_waited_for(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    async with serving(only(encoder), max_queue_items=4) as client:
        encoder.hold()
        first = asyncio.create_task(client.post("/encode", json={"inputs": ["hello"] * 4}))
        await asyncio.to_thread(encoder.entered.wait, 60)
        sending = asyncio.create_task(streamed(client, ndjson(["hello", "world"])))
        await asyncio.sleep(0.2)
        assert not sending.done()
        encoder.gate.set()

        *lines, last = await sending
        await first
    assert [len(line["embedding"]) for line in lines] == [tiny.DIM] * 2
    assert last["done"]


async def test_a_body_that_stops_arriving_ends_the_stream_without_done(
    serving: Any, registry: Registry
) -> None:
    async def stops() -> AsyncIterator[bytes]:
        yield b'"hello"\n'
        await asyncio.sleep(5)

    async with serving(registry, body_timeout_s=0.2) as client:
        lines = await streamed(client, stops())

    assert lines[-1]["error"]["code"] == "body_timeout"


class Watched:
    """Counts the inputs that an encoder prepares, and notes the threads on which it reads them."""

    def __init__(self, encoder: Any) -> None:
        self.prepared = 0
        self.threads: set[int] = set()
        self._prepare, self._read = encoder.prepare, encoder.read
        encoder.prepare, encoder.read = self.prepare, self.read

    def prepare(self, inputs: Any, truncate: Any = "none") -> Any:
        self.prepared += len(inputs)
        return self._prepare(inputs, truncate)

    def read(self, values: Any, now: Any = None) -> Any:
        self.threads.add(threading.get_ident())
        return self._read(values, now)


@pytest.mark.parametrize("bad", [1, 40, 128])
async def test_bad_lines_of_a_chunk_are_told_without_preparing_all_for_each(
    serving: Any, only: Any, fake: Any, bad: int
) -> None:
    encoder = fake()
    watched = Watched(encoder)
    lines = ["the " * 30 if place < bad else f"cat {place}" for place in range(128)]
    async with serving(only(encoder)) as client:
        *answers, last = await streamed(client, ndjson(lines[::-1]))

    assert last == {"done": True, "lines": 128}
    assert ["error" in answer for answer in answers] == [len(text) > 20 for text in lines[::-1]]
    assert watched.prepared <= 128 * (math.log2(128) + 2)


async def test_lines_that_are_much_work_are_read_off_the_loop(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    watched = Watched(encoder)
    async with serving(only(encoder)) as client:
        await streamed(client, ndjson(["cat"] * 10))
        here = {threading.get_ident()}
        assert watched.threads == here
        await streamed(client, ndjson(["cat " * 3000] * 20), truncate="end")
        assert watched.threads > here


@pytest.mark.parametrize("line", [b"[" + b"[]," * 140_000 + b"[]]", b"[" + b"{}," * 140_000 + b"{}]"])
async def test_a_line_of_too_many_values_is_not_parsed(client: httpx.AsyncClient, line: bytes) -> None:
    """Which takes a parser a third of a second, on whichever thread, since it keeps Python's lock."""
    bad, good, _ = await streamed(client, line + b'\n"cat"\n', truncate="end")

    assert bad["error"]["code"] == "too_many_values"
    assert "embedding" in good
