"""No answer is larger than the limit, and what would be is refused before anything is encoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2 as httpx
import pytest
import tiny

from app.engine import Registry

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
NUMBER = 14
MOST = 40 * tiny.DIM * NUMBER  # bytes: of 40 vectors in JSON
TOO_MANY: dict[str, tuple[str, dict[str, Any]]] = {
    "encode": ("/encode", {"inputs": ["cat"] * 41}),
    "openai": ("/v1/embeddings", {"model": "text", "input": ["cat"] * 41}),
    "tei": ("/embed", {"inputs": ["cat"] * 41}),
    "tokens": ("/tokenize", {"inputs": ["cat dog " * 50, "cat dog " * 50]}),
    "ids": ("/decode", {"ids": [[5] * 1000] * 5}),
}


@pytest.mark.parametrize("name", TOO_MANY)
async def test_a_larger_answer_is_refused(serving: Serving, registry: Registry, name: str) -> None:
    path, body = TOO_MANY[name]
    async with serving(registry, max_answer_bytes=MOST) as client:
        response = await client.post(path, json=body)

    assert response.status_code in (400, 422)
    assert "ENCODERY_MAX_ANSWER_BYTES" in response.text


async def test_what_is_smaller_in_another_form_is_answered(serving: Serving, registry: Registry) -> None:
    async with serving(registry, max_answer_bytes=MOST) as client:
        forms: list[httpx.Response] = [
            await client.post("/encode", json={"inputs": ["cat"] * 40}),
            await client.post("/encode", json={"inputs": ["cat"] * 100, "encoding": "base64"}),
            await client.post(
                "/encode", json={"inputs": ["cat"] * 140}, headers={"Accept": "application/octet-stream"}
            ),
        ]

    assert [form.status_code for form in forms] == [200] * 3


async def test_tokens_in_pieces_are_those_of_the_whole(client: httpx.AsyncClient) -> None:
    response = await client.post("/tokenize", json={"inputs": ["cat " * 3000, "cat"]})

    long, short = response.json()
    assert len(long) == 3000 + len(short) - 1
    assert {token["id"] for token in long} == {token["id"] for token in short}
    places = [token["start"] for token in long if not token["special"]]
    assert places == list(range(0, 12_000, 4))


TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


@pytest.mark.parametrize("path", ["/v2/embed", "/v1/embed"])
async def test_several_types_at_once_are_counted_together(
    serving: Serving, registry: Registry, path: str
) -> None:
    async def counted(*types: str) -> int:
        async with serving(registry, max_answer_bytes=1) as client:
            answer = await client.post(path, json={"texts": ["cat"] * 64, "embedding_types": types})
        return int(answer.json()["message"].split(" would take ")[1].split()[0])

    async def sent(*types: str) -> int:
        async with serving(registry) as client:
            answer = await client.post(path, json={"texts": ["cat"] * 64, "embedding_types": types})
        return len(json.dumps(answer.json()["embeddings"], separators=(",", ":")))

    alone = [await counted(one) for one in TYPES]

    assert await counted(*TYPES) == pytest.approx(sum(alone), abs=len(TYPES))
    assert await counted("int8", "int8") == await counted("int8")
    for types in (*([one] for one in TYPES), TYPES):
        around = len(types) * (6 * 64 + 20)  # quotes, brackets and padding, and the names of types
        assert await sent(*types) <= await counted(*types) + around
