"""The pipeline behind any ASGI server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx2 as httpx
import onnxruntime
import pytest
from fastapi import Request, Response

from app.http.application import Application
from app.http.room import Room
from app.http.routes import RouteGroup
from app.metrics import Metrics
from app.settings import Settings


async def test_a_direct_route_is_documented_and_refuses_other_methods(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    refused = await client.get("/encode")

    operation = document["paths"]["/encode"]["post"]
    assert operation["summary"] == "Encode inputs"
    assert "context" not in str(operation.get("parameters", []))
    assert {"200", "422", "429"} <= set(operation["responses"])
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")


async def test_a_direct_route_is_served_under_a_prefix(client: httpx.AsyncClient) -> None:
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


async def test_metrics_count_direct_and_other_routes_by_their_path(client: httpx.AsyncClient) -> None:
    await client.post("/encode", json={"inputs": "hello"})
    await client.post("/encode", json={})
    await client.get("/health")
    counted = (await client.get("/metrics")).text

    assert 'encodery_requests_total{method="POST",route="/encode",status="200"} 1.0' in counted
    assert 'encodery_requests_total{method="POST",route="/encode",status="422"} 1.0' in counted
    assert 'encodery_requests_total{method="GET",route="/health",status="200"} 1.0' in counted
    assert 'encodery_request_seconds_count{route="/encode",status="200"} 1.0' in counted
    assert 'encodery_request_seconds_count{route="/encode",status="422"} 1.0' in counted


async def test_metrics_say_what_serves(client: httpx.AsyncClient) -> None:
    told = (await client.get("/metrics")).text

    [line] = [line for line in told.splitlines() if line.startswith("encodery_build_info{")]
    running = (await client.get("/health")).json()["encodery"]
    assert f'version="{running}"' in line
    assert f'onnxruntime="{onnxruntime.__version__}"' in line
    assert line.endswith(" 1.0")


async def test_a_protocol_answers_errors_in_its_own_shape() -> None:
    routes = RouteGroup(error=lambda error: Response(type(error).__name__, 418))

    @routes.post("/odd")
    async def odd(context: Any, request: Request) -> Response:
        raise ValueError

    app = Application((routes,))
    app.state.context = SimpleNamespace(
        metrics=Metrics(), settings=Settings(), gate=None, cors=None, room=Room(1), in_work=0, traces=None
    )
    transport = httpx.ASGITransport(app)
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


GET_PATHS = [
    "/",
    "/health",
    "/health/live",
    "/models/text",
    "/openapi.json",
    "/docs",
    "/docs/assets/swagger-ui.css",
    "/page/page.css",
    "/api/tags",
]


@pytest.mark.parametrize("path", GET_PATHS)
async def test_head_is_answered_wherever_get_is(client: httpx.AsyncClient, path: str) -> None:
    get, head = await client.get(path), await client.head(path)

    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert {*head.headers} == {*get.headers}
    if path != "/health":  # which tells the time
        assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


async def test_the_root_says_what_this_is(client: httpx.AsyncClient) -> None:
    get = await client.get("/")
    post = await client.post("/", json={"inputs": "hello"})

    assert (get.status_code, get.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert get.text.startswith("Encodery ")
    assert len(get.text.splitlines()) == 1
    assert (post.status_code, len(post.json())) == (200, 1)


@pytest.mark.parametrize(
    ("method", "path", "allow", "keys"),
    [
        ("GET", "/encode", "POST", {"error"}),
        ("POST", "/health", "GET, HEAD", {"error"}),
        ("DELETE", "/", "GET, HEAD, POST", {"error"}),
        ("GET", "/embed", "POST", {"error", "error_type"}),
        ("HEAD", "/embed", "POST", set()),
        ("PUT", "/v2/embed", "POST", {"message"}),
        ("GET", "/v2/models/text/infer", "POST", {"error"}),
        ("POST", "/v2/models/text", "GET, HEAD", {"error"}),
        ("POST", "/docs/assets/swagger-ui.css", "GET, HEAD", {"error"}),
    ],
)
async def test_a_405_names_all_methods_in_the_shape_of_the_paths_protocol(
    client: httpx.AsyncClient, method: str, path: str, allow: str, keys: set[str]
) -> None:
    answer = await client.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert keys == (set(answer.json()) if answer.content else set())


async def test_a_full_queue_is_told_before_the_body_is_read(serving: Any, only: Any, fake: Any) -> None:
    """By every route that encodes, in the shape of its protocol, and by no other."""
    encoder = fake()
    async with serving(only(encoder), threads=1, max_queue_items=1) as client:
        encoder.hold()
        first = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while not encoder.entered.is_set():
            await asyncio.sleep(0.001)
        answers = {path: await client.post(path, content=b"no JSON") for path in FULL}
        encoder.gate.set()
        await first

    assert {path: answer.status_code for path, answer in answers.items()} == FULL


FULL = {
    "/encode": 429,
    "/score": 429,
    "/embed": 429,
    "/v1/embeddings": 429,
    "/api/embed": 429,
    "/v2/embed": 429,
    "/v2/models/text/infer": 429,
    "/tokenize": 429,
    "/decode": 429,
    "/api/show": 400,
    "/v2/repository/index": 400,
}


async def test_the_path_of_files_is_what_metrics_call_them(client: httpx.AsyncClient) -> None:
    for path in ("/docs/assets/swagger-ui.css", "/openapi.json", "/models/text", "/nothing", "/models/a/b/c"):
        await client.get(path)
    counted = (await client.get("/metrics")).text

    routes = {
        line.split('route="')[1].split('"')[0]
        for line in counted.splitlines()
        if line.startswith("encodery_requests_total{")
    }
    assert routes == {"/docs/assets", "/openapi.json", "/models/{name}", "unmatched"}
