"""POST /tokenize and /decode are work like any other: admitted, counted, and over at their deadline."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2 as httpx
import pytest

from app.engine import Registry

LONG = {"inputs": ["cat dog " * 1000] * 4}
BODIES: dict[str, Any] = {"/tokenize": LONG, "/decode": {"ids": [[1, 2, 3] * 1000] * 4}}


@pytest.mark.parametrize("path", BODIES)
async def test_they_are_no_way_round_a_full_queue(serving: Any, only: Any, fake: Any, path: str) -> None:
    encoder = fake()
    async with serving(only(encoder), threads=1, max_queue_items=1) as client:
        encoder.hold()
        accepted = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while client.app.state.context.engine.items < 1:
            await asyncio.sleep(0.001)
        refused = await client.post(path, json=BODIES[path])
        encoder.gate.set()
        await accepted
        again = await client.post(path, json=BODIES[path])

    assert (refused.status_code, again.status_code) == (429, 200)
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", BODIES)
async def test_their_time_is_the_requests(client: httpx.AsyncClient, path: str) -> None:
    body = {"inputs": ["cat dog " * 2000] * 40} if path == "/tokenize" else {"ids": [[1, 2, 3] * 1000] * 80}
    late = await client.post(path, json=body, headers={"X-Request-Timeout-Ms": "1"})
    small = {"inputs": "cat"} if path == "/tokenize" else {"ids": [1]}
    wrong = await client.post(path, json=small, headers={"X-Request-Timeout-Ms": "soon"})
    nameless = await client.post(path, json=small, headers={"X-Priority": ""})

    assert (late.status_code, wrong.status_code, nameless.status_code) == (504, 422, 422)
    assert (await client.post(path, json=BODIES[path])).status_code == 200


@pytest.mark.parametrize("path", BODIES)
async def test_of_many_at_once_those_that_would_wait_are_refused(
    serving: Any, registry: Registry, path: str
) -> None:
    async with serving(registry, max_wait_s=0.1) as client:
        answers = await asyncio.gather(*(client.post(path, json=BODIES[path]) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        assert answer.status_code == 200 or int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("path", "body", "limit"),
    [
        ("/tokenize", {"inputs": ["cat"] * 4}, "ENCODERY_MAX_ITEMS"),
        ("/decode", {"ids": [[1]] * 4}, "ENCODERY_MAX_ITEMS"),
        ("/decode", {"ids": [[]] * 4}, "ENCODERY_MAX_ITEMS"),
        ("/decode", {"ids": [1] * 9}, "ENCODERY_MAX_QUEUE_TOKENS"),
    ],
)
async def test_counts_are_limited(
    serving: Any, registry: Registry, path: str, body: dict[str, Any], limit: str
) -> None:
    async with serving(registry, max_items=3, max_queue_tokens=8) as client:
        answer = await client.post(path, json=body)

    assert answer.status_code == 422
    assert limit in answer.text


async def test_an_id_that_is_none_is_refused_wherever_it_stands(client: httpx.AsyncClient) -> None:
    for bad in (-1, 1 << 32, 1.5, True, "1", None):
        answer = await client.post("/decode", json={"ids": [[1]] * 200 + [[2, bad]]})
        assert answer.status_code == 422, bad


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/tokenize", {"inputs": ["cat", ""]}, "inputs[1]"),
        ("/tokenize", {"inputs": []}, "inputs"),
        ("/decode", {"ids": []}, "ids"),
        ("/decode", {"ids": [[1], []]}, "ids"),
    ],
)
async def test_nothing_is_empty_and_the_document_says_so(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], place: str
) -> None:
    answer = await client.post(path, json=body)
    document = (await client.get("/openapi.json")).json()["paths"][path]["post"]["requestBody"]

    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")
    assert answer.json()["error"].startswith(f"{place}: ")
    assert "'minItems': 1" in str(document)
