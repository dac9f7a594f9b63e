"""GET /models/{name}/shadow: what was asked for is encoded by the version in the shadow, and reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest
import tiny

from app.engine import Model, Registry, load_registry
from app.shadow import FEWEST
from bundle import Store, publish

PATIENCE_S = 60.0
TEXTS = [f"the {a} {b}" for a in tiny.WORDS[1:] for b in tiny.WORDS[1:]][: 2 * FEWEST]


@pytest.fixture(scope="module")
def shadowed(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """`text` 2 is current; 1, of another space, is in its shadow."""
    models = tmp_path_factory.mktemp("models")
    for seed in (1, 0):
        publish(models, [tiny.text_draft(seed=seed)])
    loaded = load_registry(Store(models), versions_per_model=2).models["text"]
    return Registry({"text": Model("text", loaded.current, loaded.versions, aliases={"shadow": {"1": 100}})})


async def report(client: httpx.AsyncClient, is_enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = (await client.get("/models/text/shadow")).json()
            if "error" not in answer and is_enough(answer):
                return dict(answer)
            await asyncio.sleep(0.01)


async def test_report_is_of_what_was_asked_for(serving: Any, shadowed: Registry) -> None:
    async with serving(shadowed) as client:
        answers = [await client.post("/encode", json={"inputs": [text]}) for text in TEXTS]
        found = await report(client, lambda one: one["compared"] >= FEWEST and one["overlap_at_10"])
        metrics = (await client.get("/metrics")).text

    assert {one.json()["version"] for one in answers} == {"2"}
    assert (found["model"], found["version"], found["shadow"]) == ("text", "2", "1")
    assert not found["same_space"]
    assert found["cosine"] is None
    assert 0.0 < found["overlap_at_10"] < 1.0
    assert found["run_ms"]["version"]["p50"] > 0
    assert 'encodery_shadow_items_total{model="text",outcome="compared",shadow="1",version="2"}' in metrics


async def test_shadow_answers_nobody_and_changes_no_answer(serving: Any, shadowed: Registry) -> None:
    plain = Registry({"text": Model("text", "2", shadowed.models["text"].versions)})
    async with serving(plain) as client:
        alone = (await client.post("/encode", json={"inputs": TEXTS[:9]})).json()
    async with serving(shadowed) as client:
        beside = (await client.post("/encode", json={"inputs": TEXTS[:9]})).json()

    assert beside == alone


async def test_model_without_a_shadow_says_how_to_give_it_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/models/text/shadow")

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "no_shadow"
    assert "PUT /models/text/aliases/shadow" in answer.json()["error"]["message"]


async def test_version_that_is_asked_for_by_name_is_not_compared(serving: Any, shadowed: Registry) -> None:
    async with serving(shadowed) as client:
        await client.post("/encode", json={"inputs": TEXTS[:9], "version": "1"})
        answer = await client.get("/models/text/shadow")

    assert (answer.status_code, answer.json()["shadow"]) == (200, "1")
    assert (answer.json()["compared"], answer.json()["waiting"]) == (0, 0)
