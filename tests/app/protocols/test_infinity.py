"""What Infinity's clients send and read: they know no /v1, and fill in every field."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

SENT = {"model": "text", "encoding_format": "float", "user": "shop", "dimensions": 0, "modality": "text"}


@pytest.mark.parametrize("path", ["/embeddings", "/v1/embeddings"])
async def test_no_dimensions_are_all_of_them(client: httpx.AsyncClient, path: str) -> None:
    """infinity_client sends 0 whenever its caller says nothing."""
    expected = (await client.post("/encode", json={"inputs": ["hello"]})).json()["embeddings"]
    answer = (await client.post(path, json=SENT | {"input": ["hello"]})).json()

    np.testing.assert_allclose([one["embedding"] for one in answer["data"]], expected, atol=1e-6)
    assert len(answer["data"][0]["embedding"]) == tiny.DIM


@pytest.mark.parametrize("path", ["/embeddings", "/v1/embeddings"])
async def test_no_model_is_the_default_one(client: httpx.AsyncClient, path: str) -> None:
    """infinity_client sends a name of its own whenever its caller says nothing."""
    unnamed = await client.post(path, json=SENT | {"input": "hello", "model": "default/not-specified"})
    other = await client.post(path, json=SENT | {"input": "hello", "model": "default/other"})

    assert (unnamed.status_code, unnamed.json()["model"]) == (200, "text")
    assert other.status_code == 404


async def test_an_alias_of_the_name_for_no_model_comes_first(serving: Any, registry: Any) -> None:
    async with serving(registry, model_aliases={"default/not-specified": "shop-user"}) as client:
        answer = await client.post("/embeddings", json={"input": "hello", "model": "default/not-specified"})

    assert answer.status_code == 400  # a user is no text
    assert "object" in answer.json()["error"]["message"]


@pytest.mark.parametrize("field", ["modality", "infinity_extra_modality"])
@pytest.mark.parametrize("value", ["video", "", "Text"])
async def test_what_is_no_modality_is_refused(client: httpx.AsyncClient, field: str, value: Any) -> None:
    answer = await client.post("/embeddings", json={"input": "hello", field: value})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert "text, image, audio" in answer.json()["error"]["message"]


@pytest.mark.parametrize("field", ["modality", "infinity_extra_modality"])
@pytest.mark.parametrize("value", ["image", "audio"])
async def test_what_is_no_text_is_refused(client: httpx.AsyncClient, field: str, value: Any) -> None:
    body = {"input": "https://shop.example/lamp", field: value}
    answer = await client.post("/embeddings", json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input[0]")
    assert "text takes texts" in answer.json()["error"]["message"]


@pytest.mark.parametrize("field", ["modality", "infinity_extra_modality", "embedding_type"])
@pytest.mark.parametrize(
    ("value", "said"),
    [(5, "a number"), (True, "a boolean"), (["text"], "a list"), ({"text": 1}, "an object")],
)
async def test_what_is_no_word_is_told_as_that(
    client: httpx.AsyncClient, field: str, value: Any, said: str
) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "hello", field: value})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "wrong_type", field)
    assert error["message"] == f"{field}: expected a string, this is {said}"


@pytest.mark.parametrize("path", ["/embeddings_image", "/embeddings_audio", "/classify"])
async def test_what_no_model_here_does_is_refused_by_name(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"model": "text", "input": ["https://shop.example/c4n4ry.png"]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported")
    assert "c4n4ry" not in answer.text


async def test_rerank_with_documents_is_told_that_no_model_ranks(client: httpx.AsyncClient) -> None:
    """Not that TEI's field is missing, which would not help."""
    answer = await client.post("/rerank", json={"model": "text", "query": "cat", "documents": ["a cat"]})

    assert answer.status_code == 422
    assert "not a re-ranker" in answer.text
    assert "/score" in answer.text


async def test_the_list_of_models_is_ours_openais_and_infinitys(serving: Any, registry: Any) -> None:
    async with serving(registry, model_aliases={"small": "text/1"}) as client:
        listed = (await client.get("/models")).json()
        openai = (await client.get("/v1/models")).json()["data"]

    assert (listed["object"], listed["default"]) == ("list", "text")
    assert {one["name"] for one in listed["models"]} == {"text", "shop-user", "shop-item"}
    assert [one["id"] for one in listed["data"]] == [one["id"] for one in openai]
    for one in listed["data"]:
        assert one["object"] == "model"
        assert "owned_by" not in one  # infinity_client takes "infinity" there and nothing else
        assert one["capabilities"] == ["embed"]
        assert one["stats"] == {"queue_fraction": 0, "queue_absolute": 0, "results_pending": 0}


@pytest.mark.parametrize("name", ["text", "small"])
async def test_one_model_has_the_id_that_was_asked_for(serving: Any, registry: Any, name: str) -> None:
    async with serving(registry, model_aliases={"small": "text/1"}) as client:
        ours, openai = await client.get(f"/models/{name}"), await client.get(f"/v1/models/{name}")

    fields = ("id", "object", "created")
    assert [ours.json()[field] for field in fields] == [openai.json()[field] for field in fields]
    assert (ours.json()["id"], ours.json()["name"]) == (name, "text")


async def test_the_stats_tell_of_work(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    async with serving(only(encoder), max_queue_items=8) as client:
        encoder.hold()
        asked = asyncio.create_task(client.post("/encode", json={"inputs": ["hello", "world"]}))
        await asyncio.to_thread(encoder.entered.wait, 10)
        [one] = (await client.get("/models")).json()["data"]
        encoder.gate.set()
        await asked

    assert (one["stats"]["results_pending"], one["stats"]["queue_fraction"]) == (2, 0.25)
