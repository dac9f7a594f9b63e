"""Ollama: what its command and its libraries ask, and everything that is refused in its shape."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.api.protocols.ollama.models import counted

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


def sentence(answer: httpx.Response) -> str:
    """The one thing that an error of Ollama's has."""
    body = answer.json()
    assert body.keys() == {"error"}
    assert isinstance(body["error"], str)
    return str(body["error"])


async def test_the_root_says_that_something_runs(client: httpx.AsyncClient) -> None:
    """Every command of its CLI asks HEAD / first; probes look for the words."""
    found, head = await client.get("/"), await client.head("/")

    assert (found.status_code, head.status_code) == (200, 200)
    assert "is running" in found.text
    assert head.headers["content-length"] == str(len(found.content))


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps", "/api/version", "/api/status"])
async def test_what_is_got_has_a_head(client: httpx.AsyncClient, path: str) -> None:
    found, head = await client.get(path), await client.head(path)

    assert (found.status_code, head.status_code, head.content) == (200, 200, b"")
    assert head.headers["content-length"] == str(len(found.content))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path",
    ["/api", "/api/nowhere", "/api/models", "/api/encode", "/api/v1/embeddings", "/api/health", "/api/embed/",
     "/api/embeddings/x", "/api/tags", "/api/embed", "/api/show"],
)  # fmt: skip
async def test_whatever_is_wrong_under_api_is_a_sentence(
    client: httpx.AsyncClient, path: str, method: str
) -> None:
    """Its libraries print what is under `error`: of an object `[object Object]`."""
    answer = await client.request(method, path)

    if answer.status_code != 200:
        assert sentence(answer)


@pytest.mark.parametrize(
    "headers",
    [{"X-Priority": "urgent"}, {"X-Request-Timeout-Ms": "soon"}, {"Transfer-Encoding": "gzip"},
     {"Content-Encoding": "br"}, {"Origin": "https://shop.example", "Content-Type": "text/plain"}],
)  # fmt: skip
async def test_what_the_checks_refuse_is_a_sentence(client: httpx.AsyncClient, headers: Any) -> None:
    body = b'{"model": "text", "input": "hello"}'
    answer = await client.post("/api/embed", content=body, headers=headers)

    assert answer.status_code >= 400
    assert sentence(answer)


async def test_who_has_no_key_is_told_in_a_sentence(serving: Any, registry: Any) -> None:
    async with serving(registry, api_key="ek_only") as client:
        answers = [await client.get(path) for path in ("/api/tags", "/api/ps", "/api/nowhere")]

    assert {answer.status_code for answer in answers} == {401}
    assert all("key" in sentence(answer) for answer in answers)


@pytest.mark.parametrize(
    ("method", "path", "way_out"),
    [
        ("POST", "/api/generate", "/api/embed"),
        ("POST", "/api/chat", "/api/embed"),
        ("POST", "/api/pull", "encodery import"),
        ("POST", "/api/push", "encodery import"),
        ("POST", "/api/create", "encodery import"),
        ("POST", "/api/copy", "ENCODERY_MODEL_ALIASES"),
        ("DELETE", "/api/delete", "encodery models"),
    ],
)
async def test_what_this_server_does_not_do_is_refused_with_the_way_out(
    client: httpx.AsyncClient, method: str, path: str, way_out: str
) -> None:
    body = {"model": "c4n4ry", "prompt": "c4n4ry", "stream": True}
    answer = await client.request(method, path, json=body)

    assert answer.status_code == 400
    assert way_out in sentence(answer)
    assert "c4n4ry" not in answer.text


@pytest.mark.parametrize(
    "name",
    ["text", "text:latest", "text:1", "TEXT", "Text:Latest", "library/text",
     "registry.ollama.ai/library/text:latest"],
)  # fmt: skip
async def test_a_model_answers_to_its_full_name(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("/api/embed", json={"model": name, "input": "hello"})
    shown = await client.post("/api/show", json={"model": name})

    assert (answer.status_code, answer.json()["model"]) == (200, name)
    assert answer.headers["x-model-version"] == "text/1"
    assert shown.status_code == 200


@pytest.mark.parametrize("name", ["nowhere/text", "library/", "text:9", "text:latest:1", "library/absent"])
async def test_a_name_of_nothing_is_unknown(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.post("/api/embed", json={"model": name, "input": "hello"})

    assert answer.status_code == 404
    assert "loaded" in sentence(answer)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/show", {}),
        ("/api/show", {"model": None}),
        ("/api/show", {"name": ""}),
        ("/api/embed", {"model": "", "input": "hello"}),
        ("/api/embed", {"model": "  ", "input": []}),
        ("/api/embeddings", {"model": "", "prompt": "hello"}),
    ],
)
async def test_a_model_must_be_named(client: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code == 400
    assert "model is required" in sentence(answer)
    assert "/api/tags" in sentence(answer)


@pytest.mark.parametrize("nothing", ["", [], None])
async def test_no_text_gives_no_vector(client: httpx.AsyncClient, nothing: Any) -> None:
    answer = await client.post("/api/embed", json={"model": "text", "input": nothing})

    assert (answer.status_code, answer.json()["embeddings"]) == (200, [])
    if not isinstance(nothing, list):
        old = await client.post("/api/embeddings", json={"model": "text", "prompt": nothing})
        assert (old.status_code, old.json()) == (200, {"embedding": []})


@pytest.mark.parametrize("texts", [["hello", ""], ["hello", "  \n"], [""], "   "])
async def test_a_blank_text_is_refused_by_its_place(client: httpx.AsyncClient, texts: Any) -> None:
    """Its vector would be that of any other blank text, and would be found as such."""
    answer = await client.post("/api/embed", json={"model": "text", "input": texts})

    assert answer.status_code == 400
    assert re.match(r"input\[\d\]: the text is empty", sentence(answer))


@pytest.mark.parametrize("truncate", [{}, {"truncate": None}, {"truncate": True}])
async def test_a_text_is_cut_however_long_it_is(client: httpx.AsyncClient, truncate: Any) -> None:
    texts = ["hello", "the cat " * 9000]  # 72,000 characters
    answer = await client.post("/api/embed", json={"model": "text", "input": texts, **truncate})
    old = await client.post("/api/embeddings", json={"model": "text", "prompt": texts[1]})
    expected = (await client.post("/encode", json={"inputs": texts, "truncate": "end"})).json()["embeddings"]

    np.testing.assert_allclose(answer.json()["embeddings"], expected, atol=1e-6)
    np.testing.assert_allclose(old.json()["embedding"], expected[1], atol=1e-6)


async def test_what_is_in_memory_has_what_the_clients_print(client: httpx.AsyncClient) -> None:
    [text] = [m for m in (await client.get("/api/ps")).json()["models"] if m["name"] == "text:latest"]

    assert text.keys() >= {"model", "size", "digest", "details", "expires_at", "size_vram"}
    assert text["context_length"] == tiny.MAX_LENGTH


async def test_a_model_is_shown_with_its_size(client: httpx.AsyncClient, registry: Any) -> None:
    shown = (await client.post("/api/show", json={"model": "text"})).json()
    weights = registry.find("text").encoder.weights

    assert shown["model_info"]["general.parameter_count"] == sum(weights.values()) > 0
    assert shown["details"]["parameter_size"] == counted(sum(weights.values()))
    assert shown["details"]["quantization_level"] in weights
    assert shown["template"] == "{{ .Prompt }}"
    assert "FROM text:1" in shown["modelfile"]


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (999, "999"), (1000, "1.00K"), (22_565_376, "22.57M"), (7_000_000_000, "7.00B")],
)
def test_a_number_is_written_as_ollama_does(number: int, written: str) -> None:
    assert counted(number) == written


@pytest.mark.parametrize("field", ["INPUT", "Input", "TRUNCATE", "Dimensions"])
async def test_a_field_in_capitals_is_told_and_not_ignored(client: httpx.AsyncClient, field: str) -> None:
    """Ollama reads it; an answer without a vector would say nothing of that."""
    answer = await client.post("/api/embed", json={"model": "text", field: "hello"})

    assert answer.status_code == 400
    assert f'did you mean "{field.lower()}"?' in sentence(answer)
