"""POST /explain over HTTP: contributions as by hand, for every kind; bounded, and dropped in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pictures
import pytest
import sounds
import strategies
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.explain_form import ExplainResponse
from app.api.explain_rows import FEW
from app.engine import Registry, load_registry
from app.http.errors import ErrorBody
from bundle import Encoder, Features, Store, Text, publish
from bundle.shapley import ENUMERATED

CLOSE = 1e-5  # float32 through another batch shape
LINEAR_CLOSE = 1e-5
USER: dict[str, Any] = {"history": ["A1", "C2"], "country": "GB"}
LONG = "the cat sat on the mat a red lamp dog"  # ten words


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The tiny bundles of every kind; texts that are not normalised are `plain`."""
    models: Path = tmp_path_factory.mktemp("explained")
    text = tiny.publish_all(models)[0]
    publish(models, [tiny.text_draft("plain", normalized=False, metric="inner_product")])
    publish(models, [tiny.image_draft()])
    publish(models, [tiny.audio_draft()])
    publish(models, [tiny.adapter_draft("adapter", text, text)])
    return load_registry(Store(models), versions_per_model=1)


async def explain(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/explain", json=body)
    assert response.status_code == 200, response.text
    ExplainResponse.model_validate_json(response.content)
    found: dict[str, Any] = response.json()
    return found


def values(side: dict[str, Any]) -> np.ndarray:
    return np.array([one["contribution"] for one in side["contributions"]])


def similarity(encoder: Encoder, left: str, right: str) -> float:
    rows = encoder.encode([Text(left), Text(right)])
    return float(rows[0] @ rows[1])


async def test_what_is_lost_without_a_word_is_as_by_hand(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    query, other = "a red lamp", "red dog"

    answer = await explain(client, model="text", query=query, other=other, method="leave_one_out")

    encoder = registry.find("text").encoder
    (pair,) = answer["explanations"]
    score = similarity(encoder, query, other)
    expected = [score - similarity(encoder, left, other) for left in ("red lamp", "a lamp", "a red")]
    assert pair["score"] == pytest.approx(score, abs=CLOSE)
    np.testing.assert_allclose(values(pair["query"]), expected, atol=CLOSE)
    spans = [(one["start"], one["stop"]) for one in pair["query"]["contributions"]]
    assert [query[slice(*span)] for span in spans] == ["a", "red", "lamp"]
    residual = pair["score"] - pair["query"]["base"] - sum(expected)
    assert pair["query"]["residual"] == pytest.approx(residual, abs=CLOSE)
    assert answer["rows"] == 2 + 3 + 2


@pytest.mark.parametrize("query", ["a red lamp", LONG])
async def test_shapley_values_add_up(client: httpx.AsyncClient, query: str) -> None:
    answer = await explain(client, model="text", query=query, candidates=["red dog", LONG])

    for pair in answer["explanations"]:
        for side in (pair["query"], pair["candidate"]):
            assert values(side).sum() == pytest.approx(pair["score"] - side["base"], abs=1e-4)
            assert side["exact"] == (len(side["contributions"]) <= ENUMERATED)
            assert side["exact"] == (not any(one["standard_error"] for one in side["contributions"]))


async def test_a_linear_tower_is_explained_exactly(serving: Callable[..., Any], every_kind: Registry) -> None:
    """The vector is the sum of those of the words, so each adds its own inner product."""
    async with serving(every_kind) as client:
        answer = await explain(client, model="plain", query=LONG, other="red dog")

    (side,) = [pair["query"] for pair in answer["explanations"]]
    encoder = every_kind.find("plain").encoder
    words = encoder.encode([Text(word) for word in LONG.split()])
    (other,) = encoder.encode([Text("red dog")])
    assert side["exact"]
    assert len(side["contributions"]) > ENUMERATED
    np.testing.assert_allclose(values(side), words @ other, atol=LINEAR_CLOSE)


async def test_events_and_fields_of_a_user(client: httpx.AsyncClient, registry: Registry) -> None:
    answer = await explain(
        client, model="shop-user", query=USER, candidates=["A1", {"id": "B1"}], now=tiny.NOW
    )

    (user,) = registry.find("shop-user").encoder.encode([Features(USER, tiny.NOW)])
    nobody, item = (
        registry.find("shop-user").encoder.encode([Features({}, tiny.NOW)])[0],
        registry.find("shop-item").encoder.encode([Features({"id": "A1"}, tiny.NOW)])[0],
    )
    pair = answer["explanations"][0]
    assert answer["candidates_model"] == "shop-item"
    assert pair["score"] == pytest.approx(float(user @ item), abs=CLOSE)
    assert pair["query"]["base"] == pytest.approx(float(nobody @ item), abs=CLOSE)
    assert [(one["field"], one.get("entries")) for one in pair["query"]["contributions"]] == [
        ("history", [0]),
        ("history", [1]),
        ("country", None),
    ]
    assert [one["index"] for one in answer["explanations"]] == [0, 1]


@pytest.mark.parametrize(
    ("model", "one", "unit"),
    [
        ("image", pictures.image_of(pictures.drawing()).to_json(), "squares"),
        ("audio", sounds.sound_of(sounds.noise(7, 0.31)).to_json(), "seconds"),
    ],
)
async def test_pictures_and_sounds(
    serving: Callable[..., Any], every_kind: Registry, model: str, one: str, unit: str
) -> None:
    async with serving(every_kind) as client:
        answer = await explain(client, model=model, query=one, other=one)

    side = answer["explanations"][0]["query"]
    assert side["unit"] == unit
    assert values(side).sum() == pytest.approx(1 - side["base"], abs=1e-4)


async def test_pieces_above_the_limit_are_merged_and_said(client: httpx.AsyncClient) -> None:
    answer = await explain(client, model="text", query=LONG, other="dog", pieces=4)

    side = answer["explanations"][0]["query"]
    assert (len(side["contributions"]), side["merged"]) == (4, 10)


async def test_vectors_have_no_pieces(serving: Callable[..., Any], every_kind: Registry) -> None:
    vector = [0.5] * tiny.DIM
    async with serving(every_kind) as client:
        response = await client.post("/explain", json={"model": "adapter", "query": vector, "other": vector})

    error = ErrorBody.model_validate_json(response.content).error
    assert (response.status_code, error.code, error.param) == (422, "unsupported", "query")


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"query": "a"}, 422, "candidates"),
        ({"query": "a", "other": "b", "candidates": ["c"]}, 422, "candidates"),
        ({"query": "a", "candidates": []}, 422, "candidates"),
        ({"query": "a", "candidates": ["b"] * 64}, 422, "candidates"),
        ({"query": "a", "candidates": ["b"] * 3000}, 422, "candidates"),
        ({"query": "a", "other": "b", "pieces": 1}, 422, "pieces"),
        ({"query": "a", "other": "b", "pieces": 65}, 422, "pieces"),
        ({"query": "a", "other": "b", "method": "lime"}, 422, "method"),
        ({"query": "a", "other": "b", "methods": "shapley"}, 422, None),
        ({"query": 3, "other": "b"}, 422, "query"),
        ({"query": " ", "other": "b"}, 422, "query"),
        ({"query": "a", "candidates": ["b", ""]}, 422, "candidates[1]"),
        ({"query": "a", "other": "b", "model": "nobody"}, 404, None),
        ({"query": "a", "other": "b", "candidates_model": "nobody"}, 404, "candidates_model"),
        ({"query": "a", "other": "b", "space": "sp_x"}, 412, None),
    ],
)
async def test_mistakes_are_told_by_place(
    client: httpx.AsyncClient, body: dict[str, Any], status: int, param: str | None
) -> None:
    response = await client.post("/explain", json=body)

    error = ErrorBody.model_validate_json(response.content).error
    assert response.status_code == status, error
    assert param is None or error.param == param


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(query=strategies.JSON, other=strategies.JSON, model=st.sampled_from(["text", "shop-user"]))
async def test_any_json_is_answered_or_refused(
    client: httpx.AsyncClient, query: Any, other: Any, model: str
) -> None:
    try:
        body = json.dumps({"model": model, "query": query, "other": other}).encode()
    except (ValueError, UnicodeEncodeError):
        return
    response = await client.post("/explain", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in {200, 400, 422}, response.text


async def test_no_more_rows_than_the_limit(serving: Callable[..., Any], registry: Registry) -> None:
    async with serving(registry, max_explain_rows=300) as client:
        answer = await explain(client, model="text", query=LONG, other=LONG)
        response = await client.post(
            "/explain", json={"model": "text", "query": LONG, "candidates": ["a", "b"]}
        )

    assert answer["rows"] <= 300
    error = ErrorBody.model_validate_json(response.content).error
    assert "ENCODERY_MAX_EXPLAIN_ROWS" in error.message


async def test_what_is_left_of_inputs_is_not_kept_in_the_cache(
    serving: Callable[..., Any], registry: Registry
) -> None:
    async with serving(registry, result_cache_bytes=1 << 20) as client:
        await explain(client, model="text", query="a red lamp", other="dog")
        whole = await client.post("/encode", json={"model": "text", "inputs": "a red lamp"})
        part = await client.post("/encode", json={"model": "text", "inputs": "a lamp"})

    assert whole.headers["X-Embedding-Cached"] == "1"
    assert part.headers["X-Embedding-Cached"] == "0"


async def test_an_explanation_runs_a_few_rows_at_a_time_and_lets_others_in(
    serving: Callable[..., Any], fake: Callable[..., Any], only: Callable[..., Registry]
) -> None:
    slow = fake()
    async with serving(only(slow), threads=1) as client:
        slow.hold()
        explaining = asyncio.create_task(
            client.post("/explain", json={"model": "text", "query": LONG, "other": LONG})
        )
        await asyncio.to_thread(slow.entered.wait, 10)
        asked = asyncio.create_task(client.post("/encode", json={"model": "text", "inputs": "dog"}))
        await asyncio.sleep(0)
        slow.gate.set()
        assert (await asked).status_code == 200
        assert not explaining.done()
        assert (await explaining).status_code == 200

    assert max(slow.batches) <= FEW


async def test_work_of_a_caller_that_leaves_is_dropped(
    serving: Callable[..., Any], fake: Callable[..., Any], only: Callable[..., Registry]
) -> None:
    slow = fake()
    async with serving(only(slow)) as client:
        slow.hold()
        explaining = asyncio.create_task(
            client.post("/explain", json={"model": "text", "query": LONG, "other": LONG})
        )
        await asyncio.to_thread(slow.entered.wait, 10)
        explaining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await explaining
        slow.gate.set()
        assert (await client.post("/encode", json={"model": "text", "inputs": "dog"})).status_code == 200
        assert client.app.state.context.engine.items == 0  # type: ignore[attr-defined]  # set by the fixture
        assert not client.app.state.context.explaining.locked()  # type: ignore[attr-defined]  # as above

    assert sum(slow.batches) <= 2 + FEW


async def test_an_explanation_has_a_deadline(
    serving: Callable[..., Any], fake: Callable[..., Any], only: Callable[..., Registry]
) -> None:
    slow = fake()
    async with serving(only(slow), request_timeout_s=0.2) as client:
        slow.hold()
        response = await client.post("/explain", json={"model": "text", "query": LONG, "other": LONG})
        slow.gate.set()

    assert response.status_code == 504


async def test_as_clients_of_kserve_ask(client: httpx.AsyncClient) -> None:
    instance = {"query": "a red lamp", "other": "dog"}
    ours = await explain(client, model="text", **instance)

    response = await client.post("/v1/models/text:explain", json={"instances": [instance, instance]})

    assert response.json() == {"explanations": [ours, ours]}
    for wrong, param in (
        ({}, "instances"),
        ({"instances": []}, "instances"),
        ({"instances": [3]}, "instances[0]"),
        ({"instances": [instance, instance | {"model": "text"}]}, "instances[1]"),
        ({"instances": [instance, {"query": ""} | {"other": "a"}]}, "instances[1].query"),
        ({"instances": [instance | {"pieces": 0}]}, "instances[0].pieces"),
    ):
        error = (await client.post("/v1/models/text:explain", json=wrong)).json()["error"]
        assert error["param"] == param
    assert (await client.post("/v1/models/none:explain", json={"instances": [instance]})).status_code == 404
