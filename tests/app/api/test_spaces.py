"""One request, several spaces: a block for each, by whichever loaded encoder gives such vectors."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.engine import load_registry
from bundle import Manifest, Store, Text, publish

TEXTS = ["a red lamp", "the cat sat", "dog"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text` 1 and 2, `other`, a pair, and an adapter from `text` 1 to 2."""
    root = tmp_path_factory.mktemp("models")
    old, new = (publish(root, [tiny.text_draft(seed=seed)])[0] for seed in (0, 1))
    publish(root, [tiny.text_draft("other", seed=2)])
    publish(root, tiny.pair_drafts())
    publish(root, [tiny.adapter_draft("bridge", old, new)])
    return root


@pytest.fixture
async def client(models: Path, serving: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(load_registry(Store(models), versions_per_model=2), max_items=8) as client:
        yield client


def manifest(models: Path, reference: str) -> Manifest:
    return Store(models).manifest(*reference.split("/"))


async def asked(client: httpx.AsyncClient, spaces: Any, **body: Any) -> httpx.Response:
    return await client.post("/encode", json={"inputs": TEXTS, "spaces": spaces} | body)


@pytest.mark.parametrize("references", [["text/1", "text/2"], ["text/2", "text/1"], ["text/1", "other/1"]])
async def test_every_block_is_what_one_request_would_give(
    client: httpx.AsyncClient, models: Path, references: list[str]
) -> None:
    answer = await asked(client, [manifest(models, one).space for one in references])

    blocks = answer.json()["blocks"]
    assert [f"{one['model']}/{one['version']}" for one in blocks] == references
    assert [one["space"] for one in blocks] == [manifest(models, one).space for one in references]
    for block, reference in zip(blocks, references, strict=True):
        model, version = reference.split("/")
        alone = await client.post("/encode", json={"inputs": TEXTS, "model": model, "version": version})
        assert block == alone.json()
    assert answer.headers["X-Embedding-Space"] == ", ".join(one["space"] for one in blocks)


async def test_options_are_for_all_blocks(client: httpx.AsyncClient, models: Path) -> None:
    spaces = [manifest(models, one).space_of(4, "int8") for one in ("text/1", "other/1")]

    answer = await asked(client, spaces, dimensions=4, output="int8")

    blocks = answer.json()["blocks"]
    assert [one["space"] for one in blocks] == spaces
    assert {(len(one["embeddings"]), len(one["embeddings"][0])) for one in blocks} == {(3, 4)}


async def test_features_are_asked_in_the_spaces_of_their_model(
    client: httpx.AsyncClient, models: Path
) -> None:
    body = {"model": "shop-user", "inputs": [{"history": ["A1"]}]}
    space = manifest(models, "shop-user/1").space

    answer = await client.post("/encode", json=body | {"spaces": [space]})

    assert [one["model"] for one in answer.json()["blocks"]] == ["shop-user"]


async def test_a_space_of_other_inputs_is_none_of_this_request(
    client: httpx.AsyncClient, models: Path
) -> None:
    for reference in ("shop-item/1", "bridge/1"):
        answer = await asked(client, [manifest(models, "text/2").space, manifest(models, reference).space])

        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "space_mismatch")


async def test_adapted_vectors_are_asked_for_on_purpose_here_too(
    client: httpx.AsyncClient, models: Path
) -> None:
    spaces = [manifest(models, "text/1").space, manifest(models, "bridge/1").space]

    answer = await asked(client, spaces, adapted=True)

    assert [one["version"] for one in answer.json()["blocks"]] == ["1", "2"]


WRONG: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"spaces": []}, 422, "invalid_value", "spaces"),
    ({"spaces": ["sp_a"] * 2}, 422, "invalid_value", "spaces"),
    ({"spaces": ["a", "b", "c", "d", "e"]}, 422, "invalid_value", "spaces"),
    ({"spaces": "sp_a"}, 422, "invalid_value", "spaces"),
    ({"space": "sp_a"}, 422, "unsupported", "space"),
    ({"version": "1"}, 422, "unsupported", "version"),
    ({"output": "sparse"}, 422, "unsupported", "spaces"),
    ({"inputs": []}, 422, "empty_inputs", "inputs"),
    ({"inputs": ["a", 3]}, 422, "wrong_kind", "inputs[1]"),
    ({"inputs": ["a"] * 9}, 422, "too_many_inputs", "inputs"),
    ({"model": "nobody"}, 404, "unknown_model", "model"),
]


@pytest.mark.parametrize(("body", "expected"), [(body, tuple(rest)) for body, *rest in WRONG])
async def test_what_is_wrong_is_refused_and_named(
    client: httpx.AsyncClient, models: Path, body: dict[str, Any], expected: tuple[int, str, str | None]
) -> None:
    spaces = [manifest(models, "text/1").space, manifest(models, "text/2").space]

    answer = await client.post("/encode", json={"inputs": TEXTS, "spaces": spaces} | body)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == expected, answer.text


async def test_blocks_are_json_only(client: httpx.AsyncClient, models: Path) -> None:
    body = {"inputs": TEXTS, "spaces": [manifest(models, "text/1").space]}

    answer = await client.post("/encode", json=body, headers={"Accept": "application/x-npy"})

    assert answer.status_code == 406


async def test_base64_is_of_every_block(client: httpx.AsyncClient, models: Path) -> None:
    answer = await asked(client, [manifest(models, "text/1").space], encoding="base64")

    rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in answer.json()["blocks"][0]["embeddings"]]
    expected = Store(models).load("text", "1").encode(list(map(Text, TEXTS)))
    np.testing.assert_allclose(np.stack(rows), expected, atol=1e-6)
