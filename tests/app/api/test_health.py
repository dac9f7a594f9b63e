"""Probes and the pages about models: they tell the truth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import tiny

from app.engine import Registry, load_registry
from bundle import Manifest, Store, publish


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    for path in ("/health/live", "/health/ready"):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"ok": True, "reasons": []})

    health = (await client.get("/health")).json()
    assert (health["live"], health["ready"], health["refused"]) == (True, True, [])
    assert [model["name"] for model in health["models"]] == ["shop-item", "shop-user", "text"]
    assert health["queue"] == {"items_in_work": 0, "waiting_items": 0, "waiting_cost": 0}


async def test_unready_without_a_sound_default_model(serving: Any, models: Path) -> None:
    """It lives, and the other models serve: only whoever balances load looks elsewhere."""
    (models / "text" / "1" / "golden.json").write_text("{}")
    async with serving(load_registry(Store(models), versions_per_model=2)) as client:
        ready = await client.get("/health/ready")
        default = await client.post("/encode", json={"inputs": "hello"})
        other = await client.post("/encode", json={"model": "shop-user", "inputs": {}})
        health = (await client.get("/health")).json()

        assert (ready.status_code, ready.json()["reasons"]) == (503, ["model_not_ready:text"])
        assert (default.status_code, default.json()["error"]["code"]) == (503, "model_not_ready")
        for answer in (ready, default, await client.get("/ping")):
            assert answer.status_code == 503
            assert "retry-after" not in answer.headers  # waiting alone does not help
        assert other.status_code == 200
        assert (await client.get("/health/live")).status_code == 200
        assert health["refused"][0]["name"] == "text"
        assert "golden.json" in health["refused"][0]["reason"]


async def test_unready_when_the_default_model_is_not_there(serving: Any, registry: Registry) -> None:
    async with serving(registry, default_model="other") as client:
        assert (await client.get("/health/ready")).json()["reasons"] == ["model_missing:other"]


async def test_unready_while_draining(client: httpx.AsyncClient) -> None:
    """What was accepted and what still comes is answered."""
    client.app.state.context.is_draining = True

    ready, ping = await client.get("/health/ready"), await client.get("/ping")
    assert ready.json()["reasons"] == ["draining"]
    assert (ready.headers["retry-after"], ping.headers["retry-after"]) == ("1", "1")
    assert (await client.get("/health/live")).status_code == 200
    assert (await client.post("/encode", json={"inputs": "hello"})).status_code == 200


async def test_not_alive_when_a_forward_pass_hangs(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    async with serving(only(encoder), threads=1, stall_limit_s=0.05) as client:
        encoder.hold()
        running = asyncio.create_task(client.post("/encode", json={"inputs": "hello"}))
        while not encoder.entered.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        response = await client.get("/health/live")
        encoder.gate.set()

        assert (response.status_code, response.json()["reasons"]) == (503, ["engine_stalled"])
        given_up = await running
        assert (given_up.status_code, given_up.json()["error"]["code"]) == (504, "encoder_hangs")
        async with asyncio.timeout(5):  # it is alive again when the pass ends after all
            while (await client.get("/health/live")).status_code != 200:
                await asyncio.sleep(0.01)


async def test_probes_answer_while_all_workers_are_busy(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    async with serving(only(encoder), threads=1) as client:
        encoder.hold()
        running = [asyncio.create_task(client.post("/encode", json={"inputs": "hello"})) for _ in range(50)]
        while not encoder.entered.is_set():
            await asyncio.sleep(0.01)
        assert (await client.get("/health/ready")).status_code == 200
        assert not any(one.done() for one in running)
        encoder.gate.set()
        await asyncio.gather(*running)


async def test_models_lists_what_is_loaded_and_what_was_refused(serving: Any, models: Path) -> None:
    publish(models, [tiny.text_draft(seed=1)])
    (models / "shop-item" / "1" / "README.md").unlink()
    registry = load_registry(Store(models), versions_per_model=2)
    async with serving(registry, models_dir=models) as client:
        listed = (await client.get("/models")).json()
        text = (await client.get("/models/text")).json()

    rows = {row["name"]: row for row in listed["models"]}
    assert listed["default"] == "text"
    assert (rows["text"]["current"], rows["text"]["loaded"], rows["text"]["dim"]) == (
        "2",
        ["2", "1"],
        tiny.DIM,
    )
    assert (rows["shop-item"]["space"], rows["shop-item"]["loaded"]) == (None, [])
    assert rows["shop-item"]["refused"][0]["version"] == "1"
    assert [version["version"] for version in text["versions"]] == ["2", "1"]
    assert Manifest.model_validate(text["versions"][0]) == Store(models).manifest("text", "2")
    newer, older = (version["lineage"] for version in rows["text"]["versions"])
    assert (newer["replaced_by"], older["replaced_by"]["version"]) == (None, "2")
    assert newer["data_sha256"] == text["versions"][0]["trained"]["data_sha256"]


async def test_the_schemas_examples_can_be_sent(client: httpx.AsyncClient) -> None:
    for name in ("text", "shop-user", "shop-item"):
        schema = (await client.get(f"/models/{name}/schema")).json()

        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        response = await client.post("/encode", json={"model": name, "inputs": schema["examples"]})
        assert response.status_code == 200, response.text


async def test_model_version_names_what_answers(client: httpx.AsyncClient, registry: Registry) -> None:
    default = (await client.get("/model-version")).json()
    user = (await client.get("/model-version?model=shop-user")).json()

    manifest = registry.find("text").manifest
    assert {
        "name": "text",
        "version": "1",
        "space": manifest.space,
        "dim": tiny.DIM,
        "kind": "text",
        "graph_sha256": manifest.files["model.onnx"].sha256,
    }.items() <= default.items()
    assert default["trained"]["metrics"]["accuracy"]["value"] == 0.5
    assert (user["name"], user["kind"]) == ("shop-user", "features")


async def test_metrics_of_every_model_are_there_from_the_start(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text

    for series in (
        'encodery_items_total{model="shop-item",version="1"} 0.0',
        'encodery_tokens_total{model="text",version="1"} 0.0',
        'encodery_queue_items{model="shop-user",version="1"} 0.0',
        'encodery_batch_rows_count{model="text",version="1"} 0.0',
        'encodery_model_loaded{model="text",space="',
        "encodery_event_loop_lag_seconds",
    ):
        assert series in text


async def test_metrics_count_what_was_encoded(client: httpx.AsyncClient) -> None:
    await client.post("/encode", json={"inputs": ["hello", "unheard", "the " * 20], "truncate": "end"})
    await client.post("/encode", json={"inputs": 1})

    text = (await client.get("/metrics")).text
    for series in (
        'encodery_items_total{model="text",version="1"} 3.0',
        'encodery_tokens_total{model="text",version="1"} 18.0',
        'encodery_truncated_items_total{model="text",version="1"} 1.0',
        'encodery_unknown_items_total{model="text",version="1"} 1.0',
        'encodery_warned_items_total{model="text",version="1",warning="truncated"} 1.0',
        'encodery_warned_items_total{model="text",version="1",warning="unknown"} 1.0',
        'encodery_requests_total{method="POST",route="/encode",status="200"} 1.0',
        'encodery_requests_total{method="POST",route="/encode",status="422"} 1.0',
    ):
        assert series in text


async def test_metrics_can_be_switched_off(serving: Any, registry: Registry) -> None:
    async with serving(registry, metrics=False) as client:
        assert (await client.get("/metrics")).status_code == 404


async def test_docs_need_no_other_server(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text

    assert "http://" not in page
    assert "https://" not in page
    for asset in ("/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css"):
        assert asset in page
        assert len((await client.get(asset)).content) > 100_000


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
async def test_probes_give_no_detail(client: httpx.AsyncClient, path: str) -> None:
    assert set((await client.get(path)).json()) == {"ok", "reasons"}
