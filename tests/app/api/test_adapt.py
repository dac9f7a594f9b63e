"""POST /adapt, and searching among adapted vectors on purpose, with a real adapter."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.engine import load_registry
from app.main import create_app
from app.settings import Settings
from bundle import Manifest, Store, publish

VECTORS = np.random.default_rng(3).standard_normal((5, tiny.DIM)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text` 1 and 2, and an adapter between them."""
    models = tmp_path_factory.mktemp("models")
    old, new = (publish(models, [tiny.text_draft(seed=seed)])[0] for seed in (0, 1))
    publish(models, [tiny.adapter_draft("bridge", old, new)])
    return models


@pytest.fixture
async def client(models: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(default_model="text", threads=1, max_items=8)
    app = create_app(settings, load_registry(Store(models), versions_per_model=2))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://encodery.test") as client,
    ):
        yield client


@pytest.fixture
def old(models: Path) -> Manifest:
    return Store(models).manifest("text", "1")


@pytest.fixture
def bridge(models: Path) -> Manifest:
    return Store(models).manifest("bridge", "1")


def expected(models: Path, vectors: np.ndarray = VECTORS) -> np.ndarray:
    encoder = Store(models).load("bridge")
    return encoder.encode(encoder.read(vectors.tolist()))


async def test_vectors_come_back_turned(
    client: httpx.AsyncClient, models: Path, old: Manifest, bridge: Manifest
) -> None:
    answer = await client.post("/adapt", json={"vectors": VECTORS.tolist(), "space": old.space})

    told = answer.json()
    np.testing.assert_allclose(np.array(told["embeddings"]), expected(models), atol=1e-6)
    assert (told["model"], told["version"], told["space"]) == ("bridge", "1", bridge.space)
    assert told["near"] == Store(models).manifest("text", "2").space
    assert answer.headers["X-Embedding-Space"] == bridge.space
    assert told["usage"] == {"items": 5, "tokens": 0}


async def test_base64_goes_in_and_out(client: httpx.AsyncClient, models: Path, old: Manifest) -> None:
    rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in VECTORS]
    body = {"vectors": rows, "space": old.space, "encoding": "base64"}

    told = (await client.post("/adapt", json=body)).json()

    found = [np.frombuffer(base64.b64decode(row), "<f4") for row in told["embeddings"]]
    np.testing.assert_allclose(np.stack(found), expected(models), atol=1e-6)


async def test_shorter_ones_are_of_the_adapters_shorter_space(
    client: httpx.AsyncClient, models: Path, old: Manifest, bridge: Manifest
) -> None:
    body = {"vectors": VECTORS.tolist(), "space": old.space, "dimensions": 4}

    told = (await client.post("/adapt", json=body)).json()

    assert told["space"] == f"{bridge.space}@4"
    assert told["near"].endswith("@4")
    np.testing.assert_allclose(np.linalg.norm(told["embeddings"], axis=1), 1, atol=1e-6)


async def test_vectors_of_another_space_are_refused(client: httpx.AsyncClient, models: Path) -> None:
    space = Store(models).manifest("text", "2").space
    for model in (None, "bridge"):
        body = {"vectors": VECTORS.tolist(), "space": space} | ({"model": model} if model else {})
        answer = await client.post("/adapt", json=body)

        assert answer.status_code == 412
        assert answer.json()["error"]["code"] == "space_mismatch"
        assert "bridge: sp_" in answer.text


WRONG: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"vectors": []}, 422, "empty_inputs", "vectors"),
    ({"vectors": [[1.0] * tiny.DIM] * 9}, 422, "too_many_inputs", "vectors"),
    ({"vectors": [[3e38] * tiny.DIM]}, 422, "not_finite", "vectors[0]"),  # in float32, but no product is
    ({"vectors": [[1.0] * tiny.DIM, [1.0] * 7]}, 422, "wrong_length", "vectors[1]"),
    ({"vectors": [[1.0] * (tiny.DIM - 1) + [1e39]]}, 422, "not_finite", "vectors[0]"),
    ({"vectors": ["a red lamp"]}, 422, "wrong_kind", "vectors[0]"),
    ({"vectors": [{}]}, 422, "wrong_kind", "vectors[0]"),
    ({"vectors": [[]]}, 422, "empty", "vectors[0]"),
    ({"vectors": [[1.0] * tiny.DIM], "model": "text"}, 404, "unknown_model", "model"),
    ({"vectors": [[1.0] * tiny.DIM], "model": "nobody"}, 404, "unknown_model", "model"),
    ({"vectors": [[1.0] * tiny.DIM], "version": 1}, 422, "invalid_value", "version"),
    ({"vector": [[1.0] * tiny.DIM]}, 422, "unknown_field", None),
    ({}, 422, "missing_field", "vectors"),
]


@pytest.mark.parametrize(("body", "expected"), [(body, tuple(rest)) for body, *rest in WRONG])
async def test_what_is_wrong_is_refused_and_named(
    client: httpx.AsyncClient, old: Manifest, body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    answer = await client.post("/adapt", json={"space": old.space} | body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == expected, answer.text


async def test_adapted_vectors_are_searched_only_on_purpose(
    client: httpx.AsyncClient, models: Path, bridge: Manifest
) -> None:
    vectors = expected(models)
    body = {"query": "a red lamp", "vectors": vectors.tolist(), "space": bridge.space}

    refused = await client.post("/score", json=body)
    found = await client.post("/score", json=body | {"adapted": True})

    assert refused.status_code == 412
    assert '"adapted": true' in refused.json()["error"]["message"]
    query = Store(models).load("text", "2")
    best = int((vectors @ query.encode(query.read(["a red lamp"]))[0]).argmax())
    assert found.json()["results"][0]["index"] == best
    assert (found.json()["version"], found.json()["space"]) == ("2", bridge.space)


@pytest.mark.parametrize("dim", [None, 4])
async def test_a_query_for_adapted_vectors_says_which_it_is(
    client: httpx.AsyncClient, models: Path, bridge: Manifest, dim: int | None
) -> None:
    body = {"inputs": "a red lamp", "space": bridge.space_of(dim or tiny.DIM)}
    body |= {"dimensions": dim} if dim else {}

    refused = await client.post("/encode", json=body)
    answer = await client.post("/encode", json=body | {"adapted": True})

    assert refused.status_code == 412
    assert answer.json()["space"] == Store(models).manifest("text", "2").space_of(dim or tiny.DIM)
    assert answer.json()["version"] == "2"


async def test_sparse_vectors_are_never_adapted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/encode", json={"inputs": "a", "output": "sparse", "adapted": True})

    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "adapted")


async def test_an_adapter_is_an_encoder_like_any_other(
    client: httpx.AsyncClient, models: Path, bridge: Manifest
) -> None:
    """It takes its vectors as inputs, and its own space is no secret to itself."""
    body = {"model": "bridge", "inputs": VECTORS.tolist(), "space": bridge.space}
    told = (await client.post("/encode", json=body)).json()
    metadata = (await client.get("/v2/models/bridge")).json()

    np.testing.assert_allclose(np.array(told["embeddings"]), expected(models), atol=1e-6)
    assert metadata["inputs"] == [{"name": "source", "datatype": "FP32", "shape": [-1, tiny.DIM]}]
    tensor = {"name": "source", "datatype": "FP32", "shape": [5, tiny.DIM], "data": VECTORS.ravel().tolist()}
    answer = (await client.post("/v2/models/bridge/infer", json={"inputs": [tensor]})).json()
    np.testing.assert_allclose(answer["outputs"][0]["data"], expected(models).ravel(), atol=1e-6)


async def test_several_adapters_of_one_space_have_to_be_named(models: Path, tmp_path: Path) -> None:
    store = Store(models)
    old, new = store.manifest("text", "1"), store.manifest("text", "2")
    for seed in (0, 1):
        publish(tmp_path, [tiny.text_draft(seed=seed)])
        publish(tmp_path, [tiny.adapter_draft(f"bridge-{seed}", old, new, seed)])
    app = create_app(Settings(threads=1), load_registry(Store(tmp_path), versions_per_model=1))
    body = {"vectors": VECTORS.tolist(), "space": old.space}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://encodery.test") as client,
    ):
        refused = await client.post("/adapt", json=body)
        named = await client.post("/adapt", json=body | {"model": "bridge-1"})

    assert refused.json()["error"]["param"] == "model"
    assert named.json()["model"] == "bridge-1"
