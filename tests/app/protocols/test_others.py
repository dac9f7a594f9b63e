"""TEI, Ollama and Cohere: what is theirs alone."""

from __future__ import annotations

import base64
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

TEXTS = ["hello world", "the cat sat on the mat"]


async def encoded(client: httpx.AsyncClient, **body: Any) -> np.ndarray:
    answer = await client.post("/encode", json={"inputs": TEXTS, **body})
    return np.array(answer.json()["embeddings"])


@pytest.mark.parametrize("path", ["/embed", "/"])
async def test_tei_answers_bare_lists(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"inputs": TEXTS})

    np.testing.assert_allclose(answer.json(), await encoded(client), atol=1e-6)
    assert answer.headers["x-compute-tokens"] == "8"
    assert answer.headers["x-compute-characters"] == str(len("".join(TEXTS)))
    for name in ("compute", "total", "tokenization", "queue", "inference"):
        assert float(answer.headers[f"x-{name}-time"]) >= 0


async def test_tei_truncates_at_the_side_that_is_asked_for(client: httpx.AsyncClient) -> None:
    text = "hello " + "the " * 30 + "dog"
    for direction, side in (("right", "end"), ("Left", "start")):
        ask = {"inputs": text, "truncate": True, "truncation_direction": direction}
        answer = (await client.post("/embed", json=ask)).json()

        np.testing.assert_allclose(answer, await encoded(client, inputs=text, truncate=side), atol=1e-6)


async def test_tei_compares_by_cosine(client: httpx.AsyncClient) -> None:
    sentences = {"source_sentence": "hello", "sentences": ["hello", "world"]}
    answer = await client.post("/similarity", json={"inputs": sentences})
    vectors = await encoded(client, inputs=["hello", "world"])

    np.testing.assert_allclose(answer.json(), [1, vectors[0] @ vectors[1]], atol=1e-5)


async def test_tei_takes_texts_apart_and_puts_them_together(client: httpx.AsyncClient) -> None:
    [tokens] = (await client.post("/tokenize", json={"inputs": "hello world"})).json()
    flat = await client.post("/decode", json={"ids": [token["id"] for token in tokens]})
    nested = await client.post("/decode", json={"ids": [[token["id"]] for token in tokens]})

    assert tokens[1] == {"id": 10, "text": "world", "special": False, "start": 6, "stop": 11}
    assert flat.json() == ["hello world"]
    assert nested.json() == ["hello", "world"]


@pytest.mark.parametrize("ids", [[-1], [1 << 40], [[1], [-1]]])
async def test_tei_refuses_ids_that_no_token_can_have(client: httpx.AsyncClient, ids: list) -> None:
    assert (await client.post("/decode", json={"ids": ids})).status_code == 422


@pytest.mark.parametrize("path", ["/embed_all", "/embed_sparse", "/rerank", "/predict"])
async def test_tei_says_what_the_model_cannot(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"inputs": "hello", "query": "hello", "texts": ["cat"]})

    assert (answer.status_code, answer.json()["error_type"]) == (424, "Backend")


async def test_tei_tells_the_limits(client: httpx.AsyncClient) -> None:
    info = (await client.get("/info")).json()

    assert (info["model_id"], info["max_input_length"]) == ("text", tiny.MAX_LENGTH)
    assert info["max_client_batch_size"] == 2048


async def test_tei_calls_an_empty_list_empty(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"inputs": []})

    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")


async def test_ollama_answers_both_routes(client: httpx.AsyncClient) -> None:
    answer = (await client.post("/api/embed", json={"model": "text", "input": TEXTS})).json()
    old = (await client.post("/api/embeddings", json={"model": "text", "prompt": TEXTS[0]})).json()

    np.testing.assert_allclose(answer["embeddings"], await encoded(client), atol=1e-6)
    np.testing.assert_allclose(old["embedding"], answer["embeddings"][0], atol=1e-6)
    assert (answer["model"], answer["prompt_eval_count"], answer["load_duration"]) == ("text", 8, 0)
    assert answer["total_duration"] > 0


async def test_ollama_reads_any_content_type(client: httpx.AsyncClient) -> None:
    """Its own documentation has `curl -d`, which sends a form's."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b'{"model": "text", "input": "hello"}'

    assert (await client.post("/api/embed", content=body, headers=headers)).status_code == 200


async def test_ollama_cuts_unless_told_not_to(client: httpx.AsyncClient) -> None:
    long = {"model": "text", "input": "the " * 30}

    assert (await client.post("/api/embed", json=long)).json()["prompt_eval_count"] == tiny.MAX_LENGTH
    refused = await client.post("/api/embed", json={**long, "truncate": False})
    assert (refused.status_code, '"truncate":true' in refused.json()["error"]) == (400, True)


async def test_ollama_gives_nothing_for_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/embed", json={"model": "text"})).json()["embeddings"] == []
    assert (await client.post("/api/embed", json={"model": "absent"})).status_code == 404


async def test_ollama_lists_and_shows(client: httpx.AsyncClient) -> None:
    tags = (await client.get("/api/tags")).json()["models"]
    shown = (await client.post("/api/show", json={"name": "text"})).json()

    assert {tag["name"] for tag in tags} == {"text:latest", "shop-user:latest", "shop-item:latest"}
    assert shown["capabilities"] == ["embedding"]
    assert shown["model_info"]["encoder.embedding_length"] == tiny.DIM
    assert "version" in (await client.get("/api/version")).json()


async def test_cohere_gives_only_the_types_that_are_asked_for(client: httpx.AsyncClient) -> None:
    types = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
    ask = {"model": "text", "texts": TEXTS, "input_type": "search_query"}
    default = (await client.post("/v2/embed", json=ask)).json()
    body = (await client.post("/v2/embed", json={**ask, "embedding_types": types})).json()
    vectors, found = await encoded(client), body["embeddings"]

    assert default["embeddings"].keys() == {"float"}
    assert (body["texts"], body["meta"]["billed_units"]) == (TEXTS, {"input_tokens": 8})
    np.testing.assert_allclose(found["float"], vectors, atol=1e-6)
    np.testing.assert_allclose(
        [np.frombuffer(base64.b64decode(row), "<f4") for row in found["base64"]], vectors, atol=1e-6
    )
    np.testing.assert_array_equal(found["ubinary"], np.packbits(vectors > 0, axis=1))
    np.testing.assert_array_equal(np.array(found["binary"]) + 128, found["ubinary"])
    np.testing.assert_array_equal(np.array(found["int8"]) + 128, found["uint8"])


async def test_cohere_v1_has_bare_floats(client: httpx.AsyncClient) -> None:
    ask = {"model": "text", "texts": TEXTS}
    floats = (await client.post("/v1/embed", json=ask)).json()
    typed = (await client.post("/v1/embed", json={**ask, "embedding_types": ["int8"]})).json()

    np.testing.assert_allclose(floats["embeddings"], await encoded(client), atol=1e-6)
    assert floats["response_type"] == "embeddings_floats"
    assert (typed["response_type"], [*typed["embeddings"]]) == ("embeddings_by_type", ["int8"])


@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"texts": ["a"], "inputs": [{"content": [{"type": "text", "text": "b"}]}]}, "send one of them"),
        ({"texts": [], "inputs": []}, "send at least one input"),
        ({"texts": ["a"], "inputs": "b"}, "send one of them"),
        ({"texts": "a"}, "texts: expected a list of texts, this is a string"),
        ({"texts": 5}, "texts: expected a list of texts, this is a"),
        ({"texts": {"a": "b"}}, "texts: expected a list of texts, this is an object"),
    ],
)
async def test_cohere_takes_one_list_of_texts(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], told: str
) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code == 400, answer.text
    assert told in answer.json()["message"]


async def test_cohere_takes_texts_in_parts_and_no_images(client: httpx.AsyncClient) -> None:
    parts = [{"content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "world"}]}]
    image = [{"content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
    answer = await client.post("/v2/embed", json={"model": "text", "inputs": parts})

    np.testing.assert_allclose(answer.json()["embeddings"]["float"], (await encoded(client))[:1], atol=1e-6)
    for refused in ({"images": ["data:"]}, {"inputs": image}, {"inputs": [1]}, {"inputs": 1}, {}):
        assert (await client.post("/v2/embed", json={"model": "text", **refused})).status_code == 400


async def test_cohere_says_what_was_cut(client: httpx.AsyncClient) -> None:
    long = {"model": "text", "texts": ["the " * 30, "a"]}
    answer = (await client.post("/v2/embed", json=long)).json()
    refused = await client.post("/v2/embed", json={**long, "truncate": "NONE"})

    assert answer["meta"]["warnings"] == ["1 of the texts were too long and were cut"]
    assert refused.status_code == 400


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "told"), [("/v2/rerank", "/score"), ("/v2/chat", "/v2/embed"), ("/v2/embed/", "/v2/embed")]
)
async def test_what_is_not_had_of_coheres_is_told_in_its_shape(
    client: httpx.AsyncClient, method: str, path: str, told: str
) -> None:
    """What else is under /v2 is KServe's."""
    answer = await client.request(method, path, json={})
    other = await client.request(method, "/v2/nowhere", json={})

    assert (answer.status_code, [*answer.json()]) == (404, ["message"])
    assert told in answer.json()["message"]
    assert (other.status_code, [*other.json()]) == (404, ["error"])
