"""Compressed bodies are read on every route whose body is bounded, and are bounded by what they stand for."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
import struct
import tracemalloc
import zlib
from typing import Any

import httpx2 as httpx
import pytest
from echoing import echoing
from hypothesis import given
from hypothesis import strategies as st
from running import until_async
from sockets import chunked, post, read_answer

from app.http.decoding import PIECE, coding_of, expanded
from app.http.errors import MalformedRequest, PayloadTooLarge, UnsupportedMediaType

LIMIT = 100_000  # of a body, in the echoing server
BOMB = gzip.compress(bytes(50 << 20))  # 51 KB


def raw_deflate(content: bytes) -> bytes:
    """Without the head and the check that RFC 9110 wants, as some clients send it."""
    made = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return made.compress(content) + made.flush()


WAYS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "Deflate": zlib.compress, " deflate ": raw_deflate}


async def asked(port: int, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await read_answer(reader)
    writer.close()
    return answer.status, answer.headers, answer.body


@pytest.mark.parametrize("coding", WAYS)
@pytest.mark.parametrize("send", [post, chunked], ids=["whole", "in chunks"])
async def test_a_body_is_what_it_stands_for(coding: str, send: Any) -> None:
    content = random.Random(0).randbytes(40_000) + bytes(60_000)
    async with echoing() as (port, context):
        sent = send("/echo", WAYS[coding](content), f"Content-Encoding: {coding}")
        status, _, body = await asked(port, sent)

        assert (status, body == content) == (200, True)
        assert context.room.taken == 0


@given(st.binary(max_size=3 * PIECE), st.sampled_from(list(WAYS)), st.integers(0, 4 * PIECE))
def test_whatever_was_compressed_comes_back(content: bytes, coding: str, zeros: int) -> None:
    content += bytes(zeros)
    name, sizes = coding_of(coding), list[int]()
    assert name

    assert asyncio.run(expanded(WAYS[coding](content), name, sizes.append)) == content
    assert sum(sizes) == len(content)
    assert max(sizes, default=0) <= PIECE


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_any_bytes_are_expanded_or_refused(content: bytes, coding: Any) -> None:
    """Never anything but bytes or a RequestError."""
    with contextlib.suppress(MalformedRequest):
        assert isinstance(asyncio.run(expanded(content, coding, lambda size: None)), bytes)


@pytest.mark.parametrize("bomb", [BOMB, zlib.compress(bytes(50 << 20))], ids=["gzip", "deflate"])
async def test_a_bomb_is_refused_while_it_expands(bomb: bytes) -> None:
    coding = "gzip" if bomb is BOMB else "deflate"
    async with echoing() as (port, context):
        tracemalloc.start()
        status, headers, body = await asked(port, post("/echo", bomb, f"Content-Encoding: {coding}"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert (status, headers["connection"]) == (413, "close")
        assert (
            f"the {coding} body stands for more than {LIMIT} bytes (ENCODERY_MAX_BODY_BYTES)".encode() in body
        )
        assert peak < 5 << 20  # of the 50 that it stands for
        assert context.room.taken == 0


def test_no_more_is_made_than_is_taken() -> None:
    made = 0

    def take(size: int) -> None:
        nonlocal made
        made += size
        if made > LIMIT:
            raise PayloadTooLarge("enough", code="body_too_large")

    with pytest.raises(PayloadTooLarge):
        asyncio.run(expanded(BOMB, "gzip", take))
    assert made <= LIMIT + PIECE


async def test_what_was_expanded_takes_room() -> None:
    """A few bytes on the wire are as many in memory as they stand for."""
    small = gzip.compress(bytes(30_000))
    async with echoing(max_bodies_bytes=50_000) as (port, context):
        first = asyncio.create_task(asked(port, post("/later", small, "Content-Encoding: gzip")))
        await context.started.wait()
        assert context.room.taken == len(small) + 30_000
        status, headers, body = await asked(port, post("/echo", small, "Content-Encoding: gzip"))
        context.released.set()
        answered, _, _ = await first

        assert (status, headers["retry-after"], answered) == (429, "1", 200)
        assert b"ENCODERY_MAX_BODIES_BYTES" in body
        await until_async(lambda: context.room.taken == 0)


WHOLE = gzip.compress(b"hello world, said at some length")
NEXT = bytes(PIECE)  # an end that lies between two pieces
WRONG = {
    "nothing": b"",
    "no gzip": b"hello",
    "cut off": WHOLE[:-1],
    "another check": WHOLE[:-8] + b"\0" * 8,
    "a second one behind it": WHOLE * 2,
    "something behind it": WHOLE + b"\0",
    "far more behind it": WHOLE + NEXT,
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
async def test_what_is_no_gzip_is_told(body: bytes) -> None:
    async with echoing() as (port, context):
        status, _, told = await asked(port, post("/echo", body, "Content-Encoding: gzip"))

        assert (status, json.loads(told)["error"]["code"]) == (400, "invalid_content_encoding")
        assert context.room.taken == 0


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "gzip, gzip", "gzip,deflate", "compress", "*", "aws-chunked"]
)
def test_another_way_is_named_with_those_that_there_are(coding: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="send gzip or deflate"):
        coding_of(coding)


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_no_way_is_none(coding: str) -> None:
    assert coding_of(coding) is None


BODIES: dict[str, dict[str, Any]] = {
    "/encode": {"inputs": "hello"},
    "/score": {"query": "hello", "candidates": ["hello"]},
    "/v1/embeddings": {"model": "text", "input": "hello"},
    "/embed": {"inputs": "hello"},
    "/api/embed": {"model": "text", "input": "hello"},
    "/v2/embed": {"model": "text", "texts": ["hello"]},
    "/v2/models/text/infer": {
        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]
    },
}


@pytest.mark.parametrize("path", BODIES)
async def test_every_protocol_reads_them(client: httpx.AsyncClient, path: str) -> None:
    content = json.dumps(BODIES[path]).encode()
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    plain = await client.post(path, json=BODIES[path])
    answer = await client.post(path, content=gzip.compress(content), headers=headers)
    bomb = await client.post(path, content=BOMB, headers=headers)

    assert (answer.status_code, bomb.status_code) == (200, 413)
    assert answer.headers["x-embedding-space"] == plain.headers["x-embedding-space"]


async def test_binary_tensors_are_counted_as_they_are_expanded(client: httpx.AsyncClient) -> None:
    """The length of the JSON is that of the JSON, as tritonclient has it."""
    block = struct.pack("<I", 5) + b"hello"
    spec = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(block)}}
    head = json.dumps({"inputs": [spec]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Encoding": "deflate"}

    answer = await client.post("/v2/models/text/infer", content=zlib.compress(head + block), headers=headers)

    assert answer.status_code == 200, answer.text
