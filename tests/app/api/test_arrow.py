"""Arrow streams of POST /encode, read by pyarrow: for JSON and for NDJSON, in every output type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import numpy as np
import orjson
import pyarrow as pa
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from app.api import stream
from app.api.arrow import ARROW, ArrowWriter
from app.engine import Registry
from bundle import OUTPUT_TYPES, OutputType, Text

SAME = 1e-5  # float32 through another batch shape
END = b"\xff\xff\xff\xff\0\0\0\0"
LINES = {"Content-Type": stream.NDJSON, "Accept": ARROW}


def read(response: httpx.Response) -> pa.Table:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(response.content).read_all()
    table.validate(full=True)
    return table


def vectors(table: pa.Table) -> np.ndarray:
    """Those that are there."""
    chunk = table.column("vector").drop_null().combine_chunks()
    return chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1)


@pytest.mark.parametrize("kind", OUTPUT_TYPES)
async def test_a_json_request_gives_typed_columns_and_says_which_vectors_these_are(
    client: httpx.AsyncClient, registry: Registry, kind: OutputType
) -> None:
    body = {"inputs": ["hello world", "unheard", "dog"], "output": kind}
    table = read(await client.post("/encode", json=body, headers={"Accept": ARROW}))

    encoder = registry.find("text").encoder
    expected = encoder.quantized(encoder.encode(list(map(Text, body["inputs"]))), kind)
    width = expected.shape[1]
    assert table.schema.field("vector").type == pa.list_(pa.from_numpy_dtype(expected.dtype), width)
    np.testing.assert_allclose(vectors(table), expected, atol=SAME if kind == "float32" else 1e-3)
    assert table.column("index").to_pylist() == [0, 1, 2]
    assert table.column("note").to_pylist() == [None, '{"unknown":["text"]}', None]
    assert table.schema.metadata == {
        b"encodery.model": b"text",
        b"encodery.version": b"1",
        b"encodery.space": encoder.manifest.space_of(tiny.DIM, kind).encode(),
        b"encodery.dim": str(tiny.DIM).encode(),
        b"encodery.output": kind.encode(),
    }


async def test_lines_give_a_batch_per_chunk_with_what_json_would_say(client: httpx.AsyncClient) -> None:
    lines = [b'"%scat"' % (b"the " * (number % 9)) for number in range(300)]
    lines[3], lines[200] = b"{", b'""'
    body, options = b"\n".join(lines), {"dimensions": 4, "output": "float16"}
    plain = await client.post(
        "/encode", content=body, params=options, headers={"Content-Type": stream.NDJSON}
    )
    response = await client.post("/encode", content=body, params=options, headers=LINES)

    table = read(response)
    *answers, _ = map(orjson.loads, plain.content.splitlines())
    assert len(pa.ipc.open_stream(response.content).read_all().to_batches()) == 3
    assert table.column("index").to_pylist() == [answer["index"] for answer in answers]
    assert table.column("vector").null_count == 2
    found = [answer["embedding"] for answer in answers if "embedding" in answer]
    np.testing.assert_allclose(vectors(table), found, atol=1e-3)
    for answer, note in zip(answers, table.column("note").to_pylist(), strict=True):
        assert answer.get("error") == (orjson.loads(note)["error"] if note else None)
    assert response.headers["x-embedding-space"] == plain.headers["x-embedding-space"]
    assert response.content.endswith(END)


async def test_no_lines_give_a_schema_and_no_row(client: httpx.AsyncClient) -> None:
    table = read(await client.post("/encode", content=b"", headers=LINES))

    assert (table.num_rows, table.schema.names) == (0, ["index", "vector", "note"])


async def test_a_stream_that_is_cut_short_says_so_in_a_row_without_index_and_has_no_end(
    serving: Any, registry: Registry
) -> None:
    async def stops() -> AsyncIterator[bytes]:
        yield b'"hello"\n'
        await asyncio.sleep(5)

    async with serving(registry, body_timeout_s=0.2) as client:
        response = await client.post("/encode", content=stops(), headers=LINES)

    last = read(response).to_pylist()[-1]
    assert (last["index"], last["vector"]) == (None, None)
    assert orjson.loads(last["note"])["error"]["code"] == "body_timeout"
    assert not response.content.endswith(END)


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_what_a_stream_cannot_be_answered_in_is_refused(client: httpx.AsyncClient, accept: str) -> None:
    response = await client.post("/encode", content=b'"a"\n', headers=LINES | {"Accept": accept})

    assert response.status_code == 406
    assert f"{stream.NDJSON}, {ARROW}" in response.json()["error"]["message"]


rows = st.lists(
    st.tuples(st.none() | st.integers(0, 2**40), st.booleans(), st.none() | st.text()), min_size=1
)


@given(st.lists(rows, max_size=3), st.sampled_from(["float32", "float16", "int8", "uint8"]))
def test_any_rows_come_back_as_they_were(batches: list[Any], kind: str) -> None:
    like = np.arange(3, dtype=kind)[np.newaxis]
    writer = ArrowWriter(like, {"a": "ö"})
    pieces = [writer.taken()]
    for batch in batches:
        indices, present, notes = zip(*batch, strict=True)
        writer.write(indices, [like[0] if there else None for there in present], notes)
        pieces.append(writer.taken())
    writer.close()
    table = pa.ipc.open_stream(b"".join([*pieces, writer.taken()])).read_all()

    table.validate(full=True)
    assert table.to_pylist() == [
        {"index": index, "vector": [0, 1, 2] if there else None, "note": note}
        for batch in batches
        for index, there, note in batch
    ]
