"""Vectors of norm 1 where a protocol promises them, though the model's are not; their space says so."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from bundle import Encoder, Store, Text, publish

TEXTS = ["hello world", "the cat sat on the mat", "a red lamp"]
HALF = tiny.DIM // 2
TENSOR = {"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}


class Route(NamedTuple):
    """A route, a body, the vectors of its answer, and whether the protocol's own server normalises."""

    path: str
    body: dict[str, Any]
    vectors: Callable[[Any], Any]
    is_unit: bool


ROUTES = [Route(*row) for row in [
    ("/v1/embeddings", {"input": TEXTS}, lambda body: [one["embedding"] for one in body["data"]], True),
    ("/embeddings", {"input": TEXTS}, lambda body: [one["embedding"] for one in body["data"]], True),
    ("/embed", {"inputs": TEXTS}, lambda body: body, True),
    ("/", {"inputs": TEXTS, "normalize": True}, lambda body: body, True),
    ("/embed", {"inputs": TEXTS, "normalize": False}, lambda body: body, False),
    ("/api/embed", {"model": "text", "input": TEXTS}, lambda body: body["embeddings"], True),
    ("/api/embeddings", {"model": "text", "prompt": TEXTS[0]}, lambda body: [body["embedding"]], False),
    ("/v2/embed", {"texts": TEXTS}, lambda body: body["embeddings"]["float"], True),
    ("/v1/embed", {"texts": TEXTS}, lambda body: body["embeddings"], True),
    ("/v2/models/text/infer", {"inputs": [TENSOR]},
     lambda body: np.reshape(body["outputs"][0]["data"], body["outputs"][0]["shape"]), False),
    ("/encode", {"inputs": TEXTS}, lambda body: body["embeddings"], False),
]]  # fmt: skip
routes = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.path} {route.is_unit}")


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    publish(tmp_path, [tiny.text_draft(normalized=False)])
    return Store(tmp_path).load("text")


@pytest.fixture
async def plain(encoder: Encoder, serving: Any, only: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose model does not normalise."""
    async with serving(only(encoder)) as client:
        yield client


def raw(encoder: Encoder, dim: int = tiny.DIM) -> np.ndarray:
    return encoder.encode([Text(text) for text in TEXTS])[:, :dim]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@routes
async def test_each_route_keeps_its_protocols_promise_and_names_the_space(
    plain: httpx.AsyncClient, encoder: Encoder, route: Route
) -> None:
    answer = await plain.post(route.path, json=route.body)
    found = np.array(route.vectors(answer.json()))
    expected = unit(raw(encoder)) if route.is_unit else raw(encoder)
    spaces = encoder.manifest.space, f"{encoder.manifest.space}+unit"

    np.testing.assert_allclose(found, expected[: len(found)], atol=1e-5)
    assert np.abs(np.linalg.norm(raw(encoder), axis=1) - 1).min() > 0.1  # or nothing was shown
    assert answer.headers["x-embedding-space"] == spaces[route.is_unit]
    for space in spaces:
        pin = {"space": space} if route.path == "/encode" else {}  # which has a field for it
        pinned = await plain.post(route.path, json=route.body | pin, headers={"X-Expected-Space": space})
        assert pinned.status_code == (200 if space == spaces[route.is_unit] else 412)


async def test_fewer_dimensions_and_fewer_bits_are_of_spaces_of_their_own(
    plain: httpx.AsyncClient, encoder: Encoder
) -> None:
    cut = await plain.post("/v1/embeddings", json={"input": TEXTS, "dimensions": HALF})
    types = await plain.post("/v2/embed", json={"texts": TEXTS, "embedding_types": ["float", "int8"]})
    found = [one["embedding"] for one in cut.json()["data"]]

    np.testing.assert_allclose(found, unit(raw(encoder, HALF)), atol=1e-5)
    assert cut.headers["x-embedding-space"] == f"{encoder.manifest.space}@{HALF}+unit"
    assert encoder.manifest.space_of(HALF, "int8", unit=True) == f"{encoder.manifest.space}@{HALF}+unit+int8"
    levels = np.array(types.json()["embeddings"]["int8"])
    assert 100 < np.abs(levels).max() <= 127  # by the limit of the vectors that were normalised
    bits = encoder.quantized(encoder.cut(raw(encoder), tiny.DIM, unit=True), "int8", unit=True)
    np.testing.assert_array_equal(levels, bits)


async def test_similarity_is_the_cosine(plain: httpx.AsyncClient, encoder: Encoder) -> None:
    sentences = {"source_sentence": TEXTS[0], "sentences": TEXTS}
    answer = await plain.post("/similarity", json={"inputs": sentences})
    vectors = unit(raw(encoder))

    np.testing.assert_allclose(answer.json(), vectors @ vectors[0], atol=1e-5)


async def test_a_model_that_normalises_has_one_space_on_every_route(client: httpx.AsyncClient) -> None:
    spaces = {
        (await client.post(route.path, json=route.body)).headers["x-embedding-space"] for route in ROUTES
    }
    assert len(spaces) == 1


async def test_base64_has_the_same_vectors(plain: httpx.AsyncClient, encoder: Encoder) -> None:
    ask = {"input": TEXTS, "encoding_format": "base64"}
    data = (await plain.post("/v1/embeddings", json=ask)).json()["data"]
    found = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in data]

    np.testing.assert_allclose(found, unit(raw(encoder)), atol=1e-5)
