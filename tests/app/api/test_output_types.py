"""`output` of POST /encode: every type in every form, and a space of its own."""

from __future__ import annotations

import base64
import io

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.engine import Registry
from bundle import OUTPUT_TYPES, OutputType, Text

TEXTS = ["hello world", "a red lamp", "dog"]
types = pytest.mark.parametrize("kind", OUTPUT_TYPES)


@pytest.fixture
def expected(registry: Registry, kind: OutputType) -> np.ndarray:
    encoder = registry.find("text").encoder
    return encoder.quantized(encoder.encode(list(map(Text, TEXTS))), kind)


@types
async def test_a_type_is_the_same_in_every_form(
    client: httpx.AsyncClient, kind: OutputType, expected: np.ndarray
) -> None:
    body = {"inputs": TEXTS, "output": kind}
    numbers = (await client.post("/encode", json=body)).json()["embeddings"]
    coded = (await client.post("/encode", json={**body, "encoding": "base64"})).json()["embeddings"]
    npy = await client.post("/encode", json=body, headers={"Accept": "application/x-npy"})
    raw = await client.post("/encode", json=body, headers={"Accept": "application/octet-stream"})

    loaded = np.load(io.BytesIO(npy.content))
    assert loaded.dtype == expected.dtype
    assert raw.headers["x-embedding-type"] == expected.dtype.name
    assert raw.headers["x-embedding-shape"] == f"3,{expected.shape[1]}"
    decoded = [np.frombuffer(base64.b64decode(row), expected.dtype) for row in coded]
    block = np.frombuffer(raw.content, expected.dtype).reshape(expected.shape)
    for found in (numbers, decoded, loaded, block):
        np.testing.assert_allclose(found, expected, atol=1e-3 if "float" in kind else 0)


@types
async def test_the_space_says_the_type_and_can_be_sent_back(
    client: httpx.AsyncClient, registry: Registry, kind: OutputType
) -> None:
    body = {"inputs": TEXTS, "output": kind, "dimensions": 8}
    space = (await client.post("/encode", json=body)).json()["space"]

    assert space == registry.find("text").manifest.space_of(8, kind)
    assert (await client.post("/encode", json={**body, "space": space})).status_code == 200
    for other in OUTPUT_TYPES:
        same = registry.find("text").manifest.space_of(8, other) == space
        answer = await client.post("/encode", json={**body, "space": space, "output": other})
        assert answer.status_code == (200 if same else 412)


@pytest.mark.parametrize("kind", ["binary", "ubinary"])
async def test_what_cannot_be_packed_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post("/encode", json={"inputs": TEXTS, "output": kind, "dimensions": tiny.DIM // 2})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_output")
