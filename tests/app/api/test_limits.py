"""Limits are kept before the costly step, and a request that is over one is told which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import tiny

from app.engine import Registry

JSON = {"Content-Type": "application/json"}


async def chunks(*parts: bytes, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(pause_s)
        yield part


async def error_of(response: httpx.Response) -> dict[str, Any]:
    return response.json()["error"]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413(serving: Any, registry: Registry, is_chunked: bool) -> None:
    async with serving(registry, max_body_bytes=100) as client:
        body = b'{"inputs": "' + b"a" * 100 + b'"}'
        content = chunks(*[body[i : i + 10] for i in range(0, len(body), 10)]) if is_chunked else body

        response = await client.post("/encode", content=content, headers=JSON)

        assert (response.status_code, (await error_of(response))["code"]) == (413, "body_too_large")
        assert "100 bytes (ENCODERY_MAX_BODY_BYTES)" in response.text
        assert response.headers["connection"] == "close"


async def test_a_declared_length_is_refused_before_the_body_is_read(serving: Any, registry: Registry) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    async with serving(registry, max_body_bytes=100) as client:
        response = await client.post("/encode", content=never(), headers=JSON | {"Content-Length": "101"})

        assert response.status_code == 413


async def test_a_length_that_is_no_number_is_a_400(client: httpx.AsyncClient) -> None:
    response = await client.post("/encode", content=b"{}", headers=JSON | {"Content-Length": "-1"})

    assert (response.status_code, (await error_of(response))["code"]) == (400, "invalid_headers")


async def test_a_body_in_many_small_chunks_is_read(client: httpx.AsyncClient) -> None:
    body = [bytes([byte]) for byte in b'{"inputs": "hello world"}']

    assert (await client.post("/encode", content=chunks(*body), headers=JSON)).status_code == 200


async def test_a_body_that_does_not_arrive_is_a_408(serving: Any, registry: Registry) -> None:
    async with serving(registry, body_timeout_s=0.05) as client:
        content = chunks(b'{"inputs": ', b'"a"}', pause_s=0.04)

        response = await client.post("/encode", content=content, headers=JSON)

        assert (response.status_code, (await error_of(response))["code"]) == (408, "body_timeout")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, "unsupported_media_type"),
        ({"Content-Type": "text/plain"}, "unsupported_media_type"),
        ({"Content-Type": "application/json; charset=latin-1"}, "unsupported_media_type"),
        ({"Content-Type": "application/json", "Content-Encoding": "br"}, "unsupported_content_encoding"),
        (
            {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
            "unsupported_content_encoding",
        ),
    ],
)
async def test_other_media_types_are_a_415(
    client: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    response = await client.post("/encode", content=b'{"inputs": "a"}', headers=headers)

    assert (response.status_code, (await error_of(response))["code"]) == (415, code)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", "Application/JSON", "application/vnd.api+json"]
)
async def test_json_by_other_names_is_read(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(
        "/encode", content=b'{"inputs": "hello"}', headers={"Content-Type": content_type}
    )

    assert response.status_code == 200


async def test_an_answer_that_we_do_not_have_is_a_406(client: httpx.AsyncClient) -> None:
    response = await client.post("/encode", json={"inputs": "a"}, headers={"Accept": "image/png"})

    assert response.status_code == 406
    assert "application/x-npy" in response.text


@pytest.mark.parametrize(
    ("settings", "inputs", "param", "named"),
    [
        ({"max_items": 2}, ["a", "b", "c"], "inputs", "3 inputs, the limit is 2 (ENCODERY_MAX_ITEMS)"),
        (
            {"max_chars_per_item": 5},
            ["hello", "helloo"],
            "inputs[1]",
            "6 characters, the limit is 5 (ENCODERY_MAX_CHARS_PER_ITEM)",
        ),
        (
            {"max_bytes_per_object": 15, "default_model": "shop-user"},
            {"country": "GB"},
            "inputs[0]",
            "16 bytes, the limit is 15 (ENCODERY_MAX_BYTES_PER_OBJECT)",
        ),
        ({"max_chars_per_request": 9}, ["hello", "world"], "inputs", "10 characters together"),
        ({}, "the " * (tiny.MAX_LENGTH + 1), "inputs[0]", f"the limit is {tiny.MAX_LENGTH}"),
    ],
)
async def test_a_limit_is_named_with_its_setting(
    serving: Any, registry: Registry, *, settings: dict[str, int], inputs: Any, param: str, named: str
) -> None:
    async with serving(registry, **settings) as client:
        response = await client.post("/encode", json={"inputs": inputs})

    error = await error_of(response)
    assert (response.status_code, error["param"]) == (422, param)
    assert named in error["message"]


async def test_history_of_512_dated_events_is_taken(client: httpx.AsyncClient) -> None:
    """As much as the bundled recommender reads; it is more than the longest text."""
    event = {"id": "A1-of-a-shop-with-long-codes", "time": "2011-11-02T10:00:00Z"}

    response = await client.post("/encode", json={"model": "shop-user", "inputs": {"history": [event] * 512}})

    assert response.status_code == 200, response.text


async def test_overload_is_a_429_with_retry_after_at_once(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    async with serving(only(encoder), threads=1, max_queue_items=2) as client:
        encoder.hold()
        accepted = [asyncio.create_task(client.post("/encode", json={"inputs": "hello"})) for _ in range(2)]
        while client.app.state.context.engine.items < 2:
            await asyncio.sleep(0.001)

        refused = await client.post("/encode", json={"inputs": "hello"})
        assert not any(one.done() for one in accepted)  # it waited for none of them
        encoder.gate.set()

        assert (refused.status_code, (await error_of(refused))["code"]) == (429, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert [one.status_code for one in await asyncio.gather(*accepted)] == [200, 200]


@pytest.mark.parametrize(
    "path",
    [
        "/encode",
        "/score",
        "/v1/embeddings",
        "/embed",
        "/similarity",
        "/api/embed",
        "/v2/embed",
        "/v2/models/text/infer",
    ],
)
async def test_a_full_queue_refuses_before_the_body_is_read(
    serving: Any, only: Any, fake: Any, path: str
) -> None:
    """On every route that encodes; others go on."""

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    encoder = fake()
    async with serving(only(encoder), threads=1, max_queue_items=1) as client:
        encoder.hold()
        accepted = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while client.app.state.context.engine.items < 1:
            await asyncio.sleep(0.001)

        refused = await client.post(path, content=never(), headers=JSON | {"Content-Length": "1000"})
        other = await client.post("/api/show", json={"model": "text"})
        encoder.gate.set()

        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert other.status_code == 200
        assert (await accepted).status_code == 200


async def test_a_kept_result_needs_no_room_among_the_tokens_that_wait(
    serving: Any, only: Any, fake: Any
) -> None:
    encoder = fake()
    async with serving(
        only(encoder), threads=1, max_queue_tokens=2, result_cache_bytes=10**6, batch_tokens=2
    ) as client:
        context = client.app.state.context
        [loaded] = context.registry.loaded
        await client.post("/encode", json={"inputs": "hello"})
        encoder.hold()
        others = []
        for count, text in enumerate(("the cat", "the dog")):
            others.append(asyncio.create_task(client.post("/encode", json={"inputs": text})))
            while not encoder.entered.is_set() or context.engine.queued(loaded)[0] < count:
                await asyncio.sleep(0.001)

        kept = await client.post("/encode", json={"inputs": "hello"})
        refused = await client.post("/encode", json={"inputs": "red"})
        encoder.gate.set()
        await asyncio.gather(*others)

        assert (kept.status_code, refused.status_code) == (200, 429)


async def test_a_deadline_is_a_504_and_is_not_run(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    async with serving(only(encoder), threads=1, request_timeout_s=0.2) as client:
        encoder.hold()
        running = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while not encoder.entered.is_set():
            await asyncio.sleep(0.001)

        late = await client.post("/encode", json={"inputs": "cat"})
        encoder.gate.set()

        assert (late.status_code, (await error_of(late))["code"]) == (504, "deadline_exceeded")
        assert (await running).status_code == 504
        assert encoder.batches == [1]


async def test_a_client_that_leaves_is_dropped_from_the_queue(serving: Any, only: Any, fake: Any) -> None:
    """Seen through plain ASGI, as a server would tell it."""
    encoder = fake()
    async with serving(only(encoder), threads=1) as client:
        engine = client.app.state.context.engine
        encoder.hold()
        running = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while not encoder.entered.is_set():
            await asyncio.sleep(0.001)

        leaves, sent = asyncio.Event(), []
        leaving = asyncio.create_task(post_and_leave(client.app, b'{"inputs": ["cat", "dog"]}', leaves, sent))
        while engine.items < 3:
            await asyncio.sleep(0.001)
        leaves.set()
        await leaving
        assert engine.items == 1
        encoder.gate.set()

        assert (await running).status_code == 200
        assert encoder.batches == [1]
        metrics = (await client.get("/metrics")).text
        assert 'encodery_requests_total{method="POST",route="/encode",status="499"} 1.0' in metrics


async def post_and_leave(app: Any, body: bytes, leaves: asyncio.Event, sent: list[Any]) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "headers": [(b"host", b"encodery.test"), (b"content-type", b"application/json")],
        "scheme": "http",
        "path": "/encode",
        "raw_path": b"/encode",
        "query_string": b"",
        "root_path": "",
    }
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
