"""Pictures as the libraries of other protocols send them: the same vectors as at /encode, of length 1."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import orjson
import pictures
import pytest
import tiny

from app.engine import load_registry
from bundle import Store, publish
from bundle.preprocess.image import Image

FILES = [pictures.file_of(pictures.noise(seed, 20, 20), "PNG") for seed in range(2)]
TEXTS = [base64.b64encode(content).decode() for content in FILES]
URIS = [f"data:image/png;base64,{text}" for text in TEXTS]
ADDRESS = "https://shop.example/lamp.png"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    publish(root, [tiny.text_draft()])
    publish(root, [tiny.image_draft()])
    return root


@pytest.fixture
async def client(models: Path, serving: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(load_registry(Store(models), versions_per_model=1)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(models: Path) -> np.ndarray:
    return Store(models).load("image").encode([Image.from_bytes(content) for content in FILES])


def part(uri: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": uri}}


OPENAI: dict[str, dict[str, Any]] = {
    "LiteLLM, Infinity: a data URI": {"input": URIS},
    "Jina": {"input": [{"image": one} for one in (URIS[0], TEXTS[1])]},
    "Infinity's modality": {"input": URIS, "modality": "image"},
    "infinity_client": {"input": URIS, "infinity_extra_modality": "image"},
}
COHERE: dict[str, dict[str, Any]] = {
    "images": {"images": URIS, "input_type": "search_document"},
    "images of their own input type": {"images": URIS, "input_type": "image"},
    "inputs": {"inputs": [{"content": [part(one)]} for one in URIS]},
    "inputs of type image": {"inputs": [{"content": [{"type": "image", "image": one}]} for one in URIS]},
}


@pytest.mark.parametrize("body", OPENAI.values(), ids=OPENAI)
async def test_openais_route_takes_pictures(
    client: httpx.AsyncClient, expected: np.ndarray, body: dict[str, Any]
) -> None:
    answer = await client.post("/v1/embeddings", json={"model": "image", **body})

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose([one["embedding"] for one in answer.json()["data"]], expected, atol=CLOSE)


async def test_vllms_messages_are_one_picture(client: httpx.AsyncClient, expected: np.ndarray) -> None:
    messages = [{"role": "user", "content": [part(URIS[1]), {"type": "text", "text": ""}]}]
    answer = await client.post("/v1/embeddings", json={"model": "image", "messages": messages})

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose([one["embedding"] for one in answer.json()["data"]], expected[1:], atol=CLOSE)


@pytest.mark.parametrize("path", ["/v2/embed", "/v1/embed"])
@pytest.mark.parametrize("body", COHERE.values(), ids=COHERE)
async def test_coheres_routes_take_pictures(
    client: httpx.AsyncClient, expected: np.ndarray, body: dict[str, Any], path: str
) -> None:
    answer = await client.post(path, json={"model": "image", "embedding_types": ["float"], **body})

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["embeddings"]["float"], expected, atol=CLOSE)
    assert answer.json()["texts"] == []


async def test_kserve_takes_base64_in_json(client: httpx.AsyncClient, expected: np.ndarray) -> None:
    for parameters in ({}, {"content_type": "base64"}):
        tensor = {"name": "image", "shape": [2], "datatype": "BYTES", "data": TEXTS, "parameters": parameters}
        answer = await client.post("/v2/models/image/infer", json={"inputs": [tensor]})

        assert answer.status_code == 200, answer.text
        found = np.array(answer.json()["outputs"][0]["data"]).reshape(2, -1)
        np.testing.assert_allclose(found, expected, atol=CLOSE)


def binary(name: str) -> tuple[bytes, dict[str, str]]:
    """A request whose tensor is bytes as they are, and its headers."""
    block = b"".join(struct.pack("<I", len(content)) + content for content in FILES)
    tensor = {"name": name, "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(block)}}
    head = orjson.dumps({"inputs": [tensor]})
    return head + block, {"Inference-Header-Content-Length": str(len(head))}


async def test_kserve_takes_bytes_in_binary(client: httpx.AsyncClient, expected: np.ndarray) -> None:
    content, headers = binary("image")
    answer = await client.post("/v2/models/image/infer", content=content, headers=headers)
    text, headers = binary("text")
    refused = await client.post("/v2/models/text/infer", content=text, headers=headers)

    assert answer.status_code == 200, answer.text
    found = np.array(answer.json()["outputs"][0]["data"]).reshape(2, -1)
    np.testing.assert_allclose(found, expected, atol=CLOSE)
    assert refused.status_code == 400
    assert "is not UTF-8" in refused.text


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/embeddings", {"input": [{"image": ADDRESS}]}, "nothing is fetched"),
    ("/v1/embeddings", {"input": ADDRESS, "modality": "image"}, "nothing is fetched"),
    ("/v1/embeddings", {"messages": [{"role": "user", "content": [part(ADDRESS)]}]}, "nothing is fetched"),
    ("/v1/embeddings", {"messages": [{"role": "user", "content": "hello"}]}, "conversations are not read"),
    (
        "/v1/embeddings",
        {"messages": [{"content": [part(URIS[0]), part(URIS[1])]}]},
        "one picture, sound or text",
    ),
    (
        "/v1/embeddings",
        {"messages": [{"content": [part(URIS[0]), {"type": "text", "text": "a lamp"}]}]},
        "one picture, sound or text",
    ),
    ("/v1/embeddings", {"input": URIS, "messages": [{"content": [part(URIS[0])]}]}, "two forms"),
    ("/v1/embeddings", {"input": URIS, "modality": "audio"}, "this model takes pictures"),
    ("/v1/embeddings", {}, "is missing"),
    ("/v1/embeddings", {"input": ["a red lamp"]}, "this model takes pictures"),
    ("/v2/embed", {"images": [ADDRESS]}, "nothing is fetched"),
    ("/v2/embed", {"images": URIS[0]}, "expected a list of data URIs"),
    ("/v2/embed", {"images": URIS, "texts": ["hello"]}, "forms of one field"),
    ("/v2/embed", {"inputs": [{"content": [part(URIS[0]), part(URIS[1])]}]}, "one picture, sound or text"),
    ("/v2/embed", {"texts": ["a red lamp"]}, "this model takes pictures"),
    ("/v2/embed", {"texts": ["a red lamp"], "input_type": "image"}, "which are sent as images"),
]


@pytest.mark.parametrize(("path", "body", "told"), REFUSED)
async def test_what_is_no_one_picture_is_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], told: str
) -> None:
    answer = await client.post(path, json={"model": "image", **body})

    assert answer.status_code == 400
    assert told in answer.text
    assert TEXTS[0] not in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": URIS, "modality": "image"}),
        ("/v1/embeddings", {"messages": [{"content": [part(URIS[0])]}]}),
        ("/v2/embed", {"images": URIS}),
        ("/v2/embed", {"inputs": [{"content": [part(URIS[0])]}]}),
    ],
)
async def test_a_model_of_texts_takes_no_pictures(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await client.post(path, json={"model": "text", **body})

    assert answer.status_code == 400
    assert "text takes texts" in answer.text
