"""Sounds over HTTP: in every form, told what was done to them, and ranked for a text."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import sounds
import tiny

from app.engine import load_registry
from bundle import Store, publish
from bundle.manifest import Joined
from bundle.preprocess.audio import Sound

FILES = [sounds.file_of(sounds.noise(seed, 0.2), form) for seed, form in enumerate(("WAV", "FLAC", "OGG"))]
CLOSE = 1e-5
HOSTILE = sounds.hostile()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text`, and `audio`, which joined its space."""
    root = tmp_path_factory.mktemp("models")
    (text,) = publish(root, [tiny.text_draft()])
    publish(root, [tiny.audio_draft(joins=Joined(name=text.name, version=text.version, space=text.space))])
    return root


@pytest.fixture
async def client(models: Path, serving: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(load_registry(Store(models), versions_per_model=1)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(models: Path) -> np.ndarray:
    return Store(models).load("audio").encode([Sound.from_bytes(content) for content in FILES])


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def ask(client: httpx.AsyncClient, *contents: bytes, **options: Any) -> httpx.Response:
    inputs = [{"audio": base64_of(one)} for one in contents]
    return await client.post("/encode", json={"model": "audio", "inputs": inputs, **options})


async def test_sounds_are_encoded_from_json_bodies_forms_and_lines(
    client: httpx.AsyncClient, expected: np.ndarray
) -> None:
    texts = [base64_of(content) for content in FILES]
    answers = [
        await ask(client, *FILES),
        await client.post("/encode", json={"model": "audio", "inputs": texts}),
        await client.post(
            "/encode", json={"model": "audio", "inputs": [f"data:audio/wav;base64,{one}" for one in texts]}
        ),
        await client.post(
            "/encode?model=audio",
            files=[("inputs", (f"{n}", one, "audio/wav")) for n, one in enumerate(FILES)],
        ),
    ]
    body = await client.post("/encode?model=audio", content=FILES[1], headers={"Content-Type": "audio/flac"})
    lines = "".join(json.dumps({"audio": text}) + "\n" for text in texts)
    stream = await client.post(
        "/encode?model=audio", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )

    for answer in answers:
        np.testing.assert_allclose(answer.json()["embeddings"], expected, atol=CLOSE)
    np.testing.assert_allclose(body.json()["embeddings"], expected[1:2], atol=CLOSE)
    streamed = [json.loads(line)["embedding"] for line in stream.text.splitlines()[:-1]]
    np.testing.assert_allclose(streamed, expected, atol=CLOSE)


async def test_what_was_done_is_told(client: httpx.AsyncClient) -> None:
    tone = sounds.tone(0.1, rate=16_000)
    answer = await ask(client, sounds.file_of(np.stack([tone, -tone], 1), rate=16_000))

    assert answer.json()["warnings"] == [{"index": 0, "resampled_from": 16_000, "antiphase": True}]
    assert answer.json()["usage"] == {"items": 1, "tokens": 2}


async def test_a_long_sound_is_refused_or_cut_as_a_text_is(client: httpx.AsyncClient) -> None:
    long = sounds.file_of(sounds.noise(0, 2.0))
    refused = await ask(client, FILES[0], long)
    cut = await ask(client, long, truncate="end")

    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == "inputs[1]"
    assert "2.0 seconds, the limit is 0.3" in refused.json()["error"]["message"]
    (warning,) = cut.json()["warnings"]
    assert warning["truncated"] == [{"field": "audio", "length": 2, "limit": 0, "unit": "seconds"}]


async def test_over_the_servers_seconds_is_refused_or_cut(client: httpx.AsyncClient) -> None:
    """By the header alone: this one would be an hour."""
    hour = sounds.file_of(np.zeros(3600 * sounds.RATE, np.float32), "FLAC")
    refused = await ask(client, hour)
    cut = await ask(client, hour, truncate="end")

    assert refused.status_code == 422
    assert "3600 seconds, the limit is 60 (ENCODERY_MAX_AUDIO_SECONDS)" in refused.json()["error"]["message"]
    assert cut.status_code == 200
    assert cut.json()["warnings"][0]["truncated"][0]["length"] == 3600


async def test_texts_are_ranked_beside_sounds(client: httpx.AsyncClient, models: Path) -> None:
    answer = await client.post(
        "/score",
        json={
            "model": "text",
            "query": "hello world",
            "candidates_model": "audio",
            "candidates": [{"audio": base64_of(one)} for one in FILES],
        },
    )

    assert answer.status_code == 200, answer.text
    store = Store(models)
    (query,) = store.load("text").encode([store.load("text").preprocessor.from_json("hello world")])
    vectors = store.load("audio").encode([Sound(one) for one in FILES])
    scores = {one["index"]: one["score"] for one in answer.json()["results"]}
    np.testing.assert_allclose([scores[row] for row in range(3)], vectors @ query, atol=CLOSE)


async def test_forty_hostile_files_are_vectors_or_refusals_that_name_them(client: httpx.AsyncClient) -> None:
    assert len(HOSTILE) == 40
    for name, content in HOSTILE.items():
        answer = await ask(client, FILES[0], content, truncate="end")

        assert answer.status_code in (200, 422), name
        if answer.status_code == 422:
            assert answer.json()["error"]["param"] == "inputs[1]", name
        else:
            assert np.isfinite(answer.json()["embeddings"]).all(), name
