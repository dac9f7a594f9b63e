"""OpenAI's embeddings: shape, types, limits."""

from __future__ import annotations

import base64
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

TEXTS = ["hello world", "the cat sat on the mat", "unheard"]


async def test_the_answer_has_everything_that_clients_read(client: httpx.AsyncClient) -> None:
    body = (await client.post("/v1/embeddings", json={"model": "text", "input": TEXTS})).json()

    assert body["id"].startswith("embd-")
    assert body["created"] > 1_700_000_000
    assert (body["object"], body["model"]) == ("list", "text")
    assert [(one["object"], one["index"]) for one in body["data"]] == [("embedding", n) for n in range(3)]
    assert body["usage"] == {"prompt_tokens": 9, "total_tokens": 9}


async def test_base64_and_floats_are_the_vectors_of_encode(client: httpx.AsyncClient) -> None:
    expected = (await client.post("/encode", json={"inputs": TEXTS})).json()["embeddings"]
    ask = {"model": "text", "input": TEXTS}
    floats = (await client.post("/v1/embeddings", json=ask)).json()["data"]
    coded = (await client.post("/v1/embeddings", json={**ask, "encoding_format": "base64"})).json()["data"]

    np.testing.assert_allclose([one["embedding"] for one in floats], expected, atol=1e-6)
    decoded = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in coded]
    np.testing.assert_allclose(decoded, expected, atol=1e-6)


async def test_dimensions_cut_and_change_the_space(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "hello", "dimensions": tiny.DIM // 2})

    assert len(answer.json()["data"][0]["embedding"]) == tiny.DIM // 2
    assert answer.headers["x-embedding-space"].endswith("@4")


@pytest.mark.parametrize("ids", [[1, 2], [[1, 2], [3]]])
async def test_token_ids_are_refused_and_the_cure_is_named(client: httpx.AsyncClient, ids: list) -> None:
    answer = await client.post("/v1/embeddings", json={"model": "text", "input": ids})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "token_ids"
    assert "check_embedding_ctx_length=False" in answer.json()["error"]["message"]


@pytest.mark.parametrize("model", ["text", "text/1", "text:1", "text:latest", None, ""])
async def test_a_version_may_stand_in_the_models_name(client: httpx.AsyncClient, model: str | None) -> None:
    answer = await client.post("/v1/embeddings", json={"model": model, "input": "hello"})

    assert answer.headers["x-model-version"] == "text/1"


@pytest.mark.parametrize("model", ["nope", "text/9"])
async def test_an_unknown_model_has_openais_code(client: httpx.AsyncClient, model: str) -> None:
    answer = await client.post("/v1/embeddings", json={"model": model, "input": "hello"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_2048_inputs_are_taken_at_once(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": ["hello"] * 2048})
    refused = await client.post("/v1/embeddings", json={"input": ["hello"] * 2049})

    assert len(answer.json()["data"]) == 2048
    assert "ENCODERY_MAX_ITEMS" in refused.json()["error"]["message"]


async def test_nulls_and_unknown_fields_change_nothing(client: httpx.AsyncClient) -> None:
    """voyageai sends nulls for all that its caller left out."""
    nulls = dict.fromkeys(["encoding_format", "dimensions", "truncate", "input_type", "user"])
    answer = await client.post("/v1/embeddings", json={"input": "hello", **nulls})

    assert answer.status_code == 200


async def test_too_long_is_refused_unless_truncation_is_asked_for(client: httpx.AsyncClient) -> None:
    long = {"input": "the " * 30}
    refused = await client.post("/v1/embeddings", json=long)
    cut = await client.post("/v1/embeddings", json={**long, "truncate": "end"})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[0]")
    assert cut.json()["usage"]["prompt_tokens"] == tiny.MAX_LENGTH


@pytest.mark.parametrize("name", ["text", "text/1", "text:1", "text:latest", "shop-user/1"])
async def test_a_model_is_found_by_what_the_field_takes(client: httpx.AsyncClient, name: str) -> None:
    one = (await client.get(f"/v1/models/{name}")).json()

    assert (one["id"], one["root"]) == (name, "shop-user/1" if "user" in name else "text/1")
    assert (await client.get(f"/v1/models/{name}/9")).status_code == 404  # no name has two versions


async def test_models_are_listed_and_found(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()
    one = await client.get("/v1/models/text")
    absent = await client.get("/v1/models/absent")

    assert {model["id"] for model in listed["data"]} == {"text", "shop-user", "shop-item"}
    assert one.json() in listed["data"]
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
async def test_what_writes_texts_is_refused_by_name(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"model": "text", "messages": [{"role": "user", "content": "hi"}]})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported")
    assert "/v1/embeddings" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
@pytest.mark.parametrize(
    ("encoding", "kind"), [("", list), ("Float", list), ("BASE64", str), ("Base64", str), (None, list)]
)
async def test_an_encoding_is_read_in_any_case_and_unset_where_empty(
    client: httpx.AsyncClient, path: str, encoding: str | None, kind: type
) -> None:
    answer = await client.post(path, json={"input": "hello", "encoding_format": encoding})

    assert isinstance(answer.json()["data"][0]["embedding"], kind)


@pytest.mark.parametrize("encoding", ["float32", " ", 5, ["float"]])
async def test_another_encoding_is_refused_by_its_field(client: httpx.AsyncClient, encoding: Any) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "hello", "encoding_format": encoding})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "encoding_format")


@pytest.mark.parametrize("dimensions", [0, -1, -(1 << 40)])
@pytest.mark.parametrize("more", [{}, {"output_dimension": tiny.DIM}])
async def test_dimensions_under_1_are_unset(
    client: httpx.AsyncClient, dimensions: int, more: dict[str, int]
) -> None:
    for path, body in (("/v1/embeddings", more), ("/api/embed", {"model": "text"})):
        answer = await client.post(path, json={"input": "hello", "dimensions": dimensions} | body)

        assert answer.status_code == 200
        [vector] = answer.json().get("embeddings") or [one["embedding"] for one in answer.json()["data"]]
        assert len(vector) == tiny.DIM
