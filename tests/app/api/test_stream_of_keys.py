"""A stream is as long as its sender likes: at every part its key counts, and its limits."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from app.api import stream
from app.api.stream.lines import CHUNK_LINES

HEADERS = {"Content-Type": stream.NDJSON, "X-API-Key": "ek_bulk"}
PART = b'"hello"\n' * CHUNK_LINES


def write(file: Path, secret: str = "ek_bulk", more: str = "") -> Path:
    file.write_text(f'[bulk]\nsha256 = "{hashlib.sha256(secret.encode()).hexdigest()}"\n{more}')
    return file


async def test_a_stream_waits_for_the_tokens_of_its_key(serving: Any, registry: Any, tmp_path: Path) -> None:
    """A part has 128 tokens: the first empties the bucket of 100, and the next two wait for it."""
    file = write(tmp_path / "keys.toml", more="tokens_per_s = 100\n")
    async with serving(registry, keys_file=file) as client:
        began_s = time.monotonic()
        answer = await client.post("/encode", content=3 * PART + b'"hello"\n', headers=HEADERS)
        took_s = time.monotonic() - began_s
        refused = await client.post("/encode", json={"inputs": "hello"}, headers={"X-API-Key": "ek_bulk"})

    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert lines[-1] == {"done": True, "lines": 3 * CHUNK_LINES + 1}
    assert not any("error" in line for line in lines)
    assert took_s > 1.0  # two parts may be in work at once, on credit
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")


async def test_a_stream_ends_when_its_key_is_taken_away(serving: Any, registry: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "keys.toml")
    async with serving(registry, keys_file=file) as client:

        async def body() -> AsyncIterator[bytes]:
            yield 2 * PART
            write(file, "ek_other")
            client.app.state.context.gate.look_again()
            client.app.state.context.gate.look()
            yield 2 * PART

        answer = await client.post("/encode", content=body(), headers=HEADERS)

    *lines, last = [orjson.loads(line) for line in answer.content.splitlines()]
    assert last["error"]["code"] == "invalid_api_key"
    assert len(lines) <= 2 * CHUNK_LINES
    assert not any("error" in line for line in lines)
