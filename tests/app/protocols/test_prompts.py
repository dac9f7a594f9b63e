"""Prompts of a model, by each protocol's own word for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.api.protocols.input_types import PROMPTS
from bundle import Encoder, Store, Text, publish

SAME = 1e-6
DECLARED = {"query": "the cat ", "passage": "the dog ", "clustering": "a red "}
TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    publish(tmp_path, [tiny.text_draft(prompts=DECLARED, default_prompt="clustering")])
    return Store(tmp_path).load("text")


@pytest.fixture
async def prompting(encoder: Encoder, serving: Any, only: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server whose model has prompts."""
    async with serving(only(encoder)) as client:
        yield client


def read(encoder: Encoder, text: str) -> np.ndarray:
    return encoder.run(encoder.prepare([Text(text)]))


@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
@pytest.mark.parametrize(
    ("input_type", "text"),
    [("search_query", "the cat hello"), ("search_document", "the dog hello"), ("clustering", "a red hello"),
     ("classification", "a red hello"), (None, "a red hello")],
)  # fmt: skip
async def test_coheres_input_type_picks_a_prompt_or_the_models_default(
    prompting: httpx.AsyncClient, encoder: Encoder, path: str, input_type: str | None, text: str
) -> None:
    ask = {"model": "text", "texts": ["hello"], "input_type": input_type, "embedding_types": ["float"]}
    answer = (await prompting.post(path, json=ask)).json()

    np.testing.assert_allclose(answer["embeddings"]["float"], read(encoder, text), atol=SAME)
    assert answer["texts"] == ["hello"]


@pytest.mark.parametrize(
    ("field", "text"),
    [({"prompt": "query"}, "the cat hello"), ({"input_type": "document"}, "the dog hello"),
     ({"input_type": "document", "prompt": ""}, "hello"), ({"input_type": "clustering"}, "a red hello")],
)  # fmt: skip
async def test_openais_route_takes_our_prompt_and_voyages_input_type(
    prompting: httpx.AsyncClient, encoder: Encoder, field: dict[str, str], text: str
) -> None:
    answer = (await prompting.post("/v1/embeddings", json={"input": "hello", **field})).json()

    np.testing.assert_allclose([answer["data"][0]["embedding"]], read(encoder, text), atol=SAME)


@pytest.mark.parametrize(("prompt", "text"), [("query", "the cat hello"), ("", "hello")])
async def test_kserve_takes_a_prompt_as_a_parameter(
    prompting: httpx.AsyncClient, encoder: Encoder, prompt: str, text: str
) -> None:
    ask = {"inputs": [TENSOR], "parameters": {"prompt": prompt}}
    [output] = (await prompting.post("/v2/models/text/infer", json=ask)).json()["outputs"]

    np.testing.assert_allclose([output["data"]], read(encoder, text), atol=SAME)


@pytest.mark.parametrize(("prompt", "count"), [("query", 3), ("", 1), (None, 3)])
async def test_tei_takes_apart_what_the_encoder_would_read(
    prompting: httpx.AsyncClient, prompt: str | None, count: int
) -> None:
    ask = {"inputs": "hello", "prompt_name": prompt, "add_special_tokens": False}
    [tokens] = (await prompting.post("/tokenize", json=ask)).json()

    assert (len(tokens), tokens[-1]["text"]) == (count, "hello")


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/embeddings", {"input": "hello", "prompt": "c4n4ry"}),
     ("/v2/models/text/infer", {"inputs": [TENSOR], "parameters": {"prompt": "c4n4ry"}}),
     ("/tokenize", {"inputs": "hello", "prompt_name": "c4n4ry"})],
)  # fmt: skip
async def test_a_prompt_by_name_must_be_there(
    prompting: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await prompting.post(path, json=body)

    assert answer.status_code in (400, 422)
    assert "it has: clustering, passage, query" in answer.text
    assert "c4n4ry" not in answer.text


@pytest.mark.parametrize("input_type", ["search_query", "search_document", "classification", "clustering"])
async def test_a_model_without_prompts_gets_none(client: httpx.AsyncClient, input_type: str) -> None:
    ask = {"model": "text", "texts": ["hello"]}
    plain = (await client.post("/v2/embed", json=ask)).json()
    typed = (await client.post("/v2/embed", json={**ask, "input_type": input_type})).json()

    assert typed["embeddings"] == plain["embeddings"]
    assert input_type in PROMPTS


async def test_an_input_type_that_cohere_does_not_have_is_refused(client: httpx.AsyncClient) -> None:
    ask = {"model": "text", "texts": ["hello"], "input_type": "query"}

    assert (await client.post("/v2/embed", json=ask)).status_code == 400
