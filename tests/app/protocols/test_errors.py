"""Whatever goes wrong, each protocol says so in its own shape, with our sentence and Retry-After."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

TEXTS = ["hello", "world"]
TENSOR = {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS}


def sentence_under(key: str) -> Callable[[Any], str]:
    """The sentence of an error that has nothing else."""

    def read(body: Any) -> str:
        assert body.keys() == {key}
        return body[key]

    return read


def openai(body: Any) -> str:
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    return body["error"]["message"]


def tei(body: Any) -> str:
    assert body.keys() == {"error", "error_type"}
    assert body["error_type"] in {"Unhealthy", "Backend", "Overloaded", "Validation", "Empty"}
    return body["error"]


class Route(NamedTuple):
    """A route, a valid body, how to find its errors' sentence, its field, and the status of a wrong input."""

    path: str
    body: dict[str, Any]
    sentence: Callable[[Any], str]
    field: str = "inputs"
    status: int = 400  # of an empty text


ROUTES = [
    Route("/v1/embeddings", {"model": "text", "input": TEXTS}, openai, "input"),
    Route("/embeddings", {"model": "text", "input": TEXTS}, openai, "input"),
    Route("/embed", {"inputs": TEXTS}, tei),
    Route("/", {"inputs": TEXTS}, tei),
    Route("/api/embed", {"model": "text", "input": TEXTS}, sentence_under("error"), "input"),
    Route(
        "/v2/embed", {"model": "text", "texts": TEXTS, "truncate": "NONE"}, sentence_under("message"), "texts"
    ),
    Route(
        "/v1/embed", {"model": "text", "texts": TEXTS, "truncate": "NONE"}, sentence_under("message"), "texts"
    ),
    Route("/v2/models/text/infer", {"inputs": [TENSOR]}, sentence_under("error")),
]
routes = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)


@routes
async def test_a_valid_request_is_answered(client: httpx.AsyncClient, route: Route) -> None:
    answer = await client.post(route.path, json=route.body)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-embedding-space"].startswith("sp_")
    assert answer.headers["x-model-version"] == "text/1"


@routes
async def test_no_json_is_said_in_its_own_shape(client: httpx.AsyncClient, route: Route) -> None:
    answer = await client.post(route.path, content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert "not JSON" in route.sentence(answer.json())


@routes
async def test_a_wrong_input_is_named_by_the_protocols_own_field(
    client: httpx.AsyncClient, route: Route
) -> None:
    wrong = [{**TENSOR, "data": ["hello", ""]}] if "infer" in route.path else ["hello", ""]
    answer = await client.post(route.path, json={**route.body, route.field: wrong})

    assert answer.status_code == route.status
    assert f"{route.field}[1]: the text is empty" in route.sentence(answer.json())


@routes
async def test_overload_is_refused_with_a_time_to_come_back(serving, only, fake, route: Route) -> None:
    encoder = fake()
    async with serving(only(encoder), max_queue_items=2) as client:
        encoder.hold()
        first = asyncio.create_task(client.post("/encode", json={"inputs": TEXTS}))
        await asyncio.to_thread(encoder.entered.wait, 10)
        answer = await client.post(route.path, json=route.body)
        encoder.gate.set()
        await first

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert "busy" in route.sentence(answer.json())


@routes
async def test_an_encoder_that_fails_tells_nothing_of_itself(serving, only, fake, route: Route) -> None:
    def raises(batch: Any) -> None:
        raise RuntimeError("secret")

    async with serving(only(fake(raises))) as client:
        answer = await client.post(route.path, json=route.body)

    assert answer.status_code == (424 if route.sentence is tei else 500)
    assert "encoder failed" in route.sentence(answer.json())
    assert "secret" not in answer.text


@routes
async def test_another_space_than_expected_is_refused(client: httpx.AsyncClient, route: Route) -> None:
    answer = await client.post(route.path, json=route.body, headers={"X-Expected-Space": "sp_other"})

    assert answer.status_code == 412
    assert "space" in route.sentence(answer.json())


@routes
async def test_what_was_sent_is_not_repeated(client: httpx.AsyncClient, route: Route) -> None:
    canary = "c4n4ry"
    bodies: list[Any] = [
        {**route.body, route.field: value} for value in (canary * 9000, [canary, 1], {canary: 1})
    ]
    bodies += [{**route.body, name: canary} for name in ("model", "truncate", "parameters")]

    for one in bodies:
        answer = await client.post(route.path, json=one)

        assert canary not in answer.text
        assert answer.status_code in (200, 400, 404, 422)
