"""Every field that a client's library sends is honoured, changes nothing, or is refused by name."""

from __future__ import annotations

import base64
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny
from fields import SENT

from app.api.protocols import PROTOCOLS
from app.api.protocols.ollama.embed import EmbedRequest as OllamaRequest
from bundle import Encoder, Text

REQUESTS = {row.path: row.request for protocol in PROTOCOLS for row in protocol.routes}
FIELDS = [
    pytest.param(library, name, id=f"{library} {name}")
    for library, sent in SENT.items()
    for name in sent.fields
]


@pytest.mark.parametrize(("library", "name"), FIELDS)
async def test_a_field_of_a_library_is_known_and_answered_or_refused_by_name(
    client: httpx.AsyncClient, library: str, name: str
) -> None:
    sent = SENT[library]
    request = REQUESTS[sent.path]
    assert request is not None
    known = {one.partition(".")[0] for one in request.fields()} | {*request.others("ignored")}
    is_refused = name in request.others("refused")
    assert is_refused or name in known

    texts = {} if name == "inputs" else {sent.texts: "hello" if sent.texts == "prompt" else ["hello"]}
    answer = await client.post(sent.path, json={"model": "text", **texts, name: sent.fields[name]})
    told = name in answer.text and answer.status_code in (400, 422)
    assert told or (answer.status_code == 200 and not is_refused), answer.text


async def vectors(client: httpx.AsyncClient, **body: Any) -> Any:
    answer = await client.post("/v1/embeddings", json={"input": ["hello world", "dog"], **body})
    assert answer.status_code == 200, answer.text
    return [one["embedding"] for one in answer.json()["data"]], answer.headers["x-embedding-space"]


@pytest.fixture
def encoder(registry: Any) -> Encoder:
    return registry.find("text").encoder


@pytest.mark.parametrize("kind", ["int8", "uint8", "binary", "ubinary"])
async def test_voyages_and_mistrals_types_are_given_as_numbers_and_as_bytes(
    client: httpx.AsyncClient, encoder: Encoder, kind: Any
) -> None:
    expected = encoder.quantized(encoder.encode([Text("hello world"), Text("dog")]), kind)
    numbers, space = await vectors(client, output_dtype=kind)
    coded, _ = await vectors(client, output_dtype=kind, encoding_format="base64")

    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(
        [np.frombuffer(base64.b64decode(one), expected.dtype) for one in coded], expected
    )
    assert space.endswith(f"+{kind}")


async def test_their_length_is_ours_and_two_lengths_are_refused(client: httpx.AsyncClient) -> None:
    ours, theirs = [await vectors(client, **{name: 4}) for name in ("dimensions", "output_dimension")]
    differ = await client.post("/v1/embeddings", json={"input": "a", "dimensions": 4, "output_dimension": 8})
    whole, _ = await vectors(client, dimensions=0)

    assert ours == theirs
    assert len(whole[0]) == tiny.DIM
    assert (differ.status_code, differ.json()["error"]["param"]) == (400, "output_dimension")


async def test_voyages_truncation_cuts_or_refuses(client: httpx.AsyncClient) -> None:
    ask = {"input": "the " * 30}
    answers = [await client.post("/v1/embeddings", json=ask | {"truncation": cut}) for cut in (True, False)]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[0].json()["usage"]["prompt_tokens"] == tiny.MAX_LENGTH


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/embeddings", {"input": "a", "task": "retrieval.query"}, "task"),
        ("/v1/embeddings", {"input": "a", "late_chunking": True}, "late_chunking"),
        ("/v1/embeddings", {"input": "a", "normalized": False}, "normalized"),
        ("/v1/embeddings", {"input": "https://a.example/b.png", "modality": "video"}, "modality"),
        ("/v1/embeddings", {"input": "a", "input_type": "of nobody"}, "input_type"),
        ("/v1/embeddings", {"input": "a", "output_dtype": "int4"}, "output_dtype"),
        ("/v2/embed", {"texts": ["a"], "max_tokens": tiny.MAX_LENGTH - 1}, "max_tokens"),
        ("/v2/embed", {"texts": ["a"], "images": ["x"]}, "images"),
        ("/v2/embed", {"texts": ["a"], "input_type": "image"}, "input_type"),
        ("/api/embed", {"model": "text", "input": "a", "options": {"num_ctx": 2}}, "options.num_ctx"),
        ("/api/embeddings", {"model": "text", "prompt": "a", "options": {"num_ctx": 8}}, "options.num_ctx"),
        ("/embed", {"inputs": "a", "encoding_format": "base64"}, "encoding_format"),
    ],
)
async def test_what_would_change_the_answer_and_cannot_be_had_is_refused_by_name(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code in (400, 422)
    assert field in answer.text
    assert "of nobody" not in answer.text


async def test_values_that_change_nothing_are_taken(client: httpx.AsyncClient) -> None:
    plain = {
        "late_chunking": False,
        "normalized": True,
        "modality": "text",
        "task": None,
        "embedding_type": "float",
    }
    options = {"num_ctx": tiny.MAX_LENGTH} | dict.fromkeys(OllamaRequest.others("ignored"))
    ollama = {"model": "text", "input": "hello", "options": options, "dimensions": 0}
    answers = [
        await client.post("/v1/embeddings", json={"input": "hello", **plain}),
        await client.post("/v2/embed", json={"texts": ["a"], "max_tokens": 512, "images": None}),
        await client.post("/api/embed", json=ollama),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {
                "inputs": [
                    TENSOR | {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 9}}
                ]
            },
            "memory",
        ),
        (
            {
                "inputs": [TENSOR | {"data": ["a"]}],
                "outputs": [{"name": "embedding", "parameters": {"classification": 2}}],
            },
            "classification",
        ),
        (
            {
                "inputs": [TENSOR | {"data": ["a"]}],
                "outputs": [{"name": "embedding", "parameters": {"shared_memory_region": "r"}}],
            },
            "memory",
        ),
    ],
)
async def test_tritons_extensions_that_are_not_there_are_refused_by_name(
    client: httpx.AsyncClient, body: dict[str, Any], told: str
) -> None:
    answer = await client.post("/v2/models/text/infer", json=body)

    assert (answer.status_code, told in answer.json()["error"]) == (400, True)


async def test_tritons_scheduling_changes_nothing(client: httpx.AsyncClient) -> None:
    parameters = {
        "priority": 1,
        "timeout": 10**6,
        "sequence_id": 7,
        "sequence_start": True,
        "sequence_end": False,
    }
    body = {"inputs": [TENSOR | {"data": ["a"]}], "parameters": parameters, "id": "1"}

    assert (await client.post("/v2/models/text/infer", json=body)).status_code == 200
