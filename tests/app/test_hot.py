"""Hot routes: answered in front of FastAPI, and known to it all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2 as httpx
from fastapi import FastAPI, Request, Response

from app.http.hot import HotPaths, HotRoutes


async def test_a_hot_route_is_documented_and_refuses_other_methods(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    refused = await client.get("/encode")

    operation = document["paths"]["/encode"]["post"]
    assert operation["summary"] == "Encode inputs"
    assert "context" not in str(operation.get("parameters", []))
    assert {"200", "422", "429"} <= set(operation["responses"])
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_fastapi_serves_the_same_route_under_a_prefix(client: httpx.AsyncClient) -> None:
    """A proxy that keeps its prefix makes the path another one than the table knows."""
    prefixed = httpx.AsyncClient(
        transport=httpx.ASGITransport(client.app, root_path="/behind"), base_url="http://encodery.test"
    )
    body = {"inputs": ["hello", "unheard"]}

    async with prefixed:
        under = await prefixed.post("/behind/encode", json=body)
    direct = await client.post("/encode", json=body)

    assert (under.status_code, under.content) == (200, direct.content)
    assert under.headers["x-request-id"]
    assert {*under.headers} == {*direct.headers}


async def test_metrics_count_hot_and_other_routes_by_their_path(client: httpx.AsyncClient) -> None:
    await client.post("/encode", json={"inputs": "hello"})
    await client.post("/encode", json={})
    await client.get("/health")
    counted = (await client.get("/metrics")).text

    assert 'encodery_requests_total{method="POST",route="/encode",status="200"} 1.0' in counted
    assert 'encodery_requests_total{method="POST",route="/encode",status="422"} 1.0' in counted
    assert 'encodery_requests_total{method="GET",route="/health",status="200"} 1.0' in counted


async def test_a_protocol_answers_errors_in_its_own_shape() -> None:
    routes = HotRoutes(error=lambda error: Response(type(error).__name__, 418))

    @routes.post("/odd")
    async def odd(context: Any, request: Request) -> Response:
        raise ValueError

    app = FastAPI()
    app.state.context = None
    transport = httpx.ASGITransport(HotPaths(app, (routes,)))
    async with httpx.AsyncClient(transport=transport, base_url="http://encodery.test") as client:
        answer = await client.post("/odd")

    assert (answer.status_code, answer.text) == (418, "ValueError")


async def test_work_for_a_client_that_left_is_dropped(serving: Any, only: Any, fake: Any) -> None:
    """The forward pass of another client runs; the one that left never reaches it."""
    encoder = fake()
    async with serving(only(encoder), threads=1) as client:
        engine = client.app.state.context.engine
        encoder.hold()
        first = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while not encoder.entered.is_set():
            await asyncio.sleep(0.001)
        body, sent = b'{"inputs": ["cat", "dog"]}', []
        messages = asyncio.Queue[dict[str, Any]]()
        messages.put_nowait({"type": "http.request", "body": body, "more_body": False})
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/encode",
            "raw_path": b"/encode",
            "query_string": b"",
            "headers": [(b"host", b"x"), (b"content-type", b"application/json")],
        }

        async def send(message: Any) -> None:
            sent.append(message)

        leaving = asyncio.create_task(client.app(scope, messages.get, send))
        while engine.items != 3:
            await asyncio.sleep(0.001)
        messages.put_nowait({"type": "http.disconnect"})
        await leaving
        encoder.gate.set()
        await first

        assert encoder.batches == [1]
        assert sent[0]["status"] == 499
        assert engine.items == 0
