"""Who asks for a text to be cut gets it cut, however long it is; who does not is told, and how to ask."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

LIMIT = 300  # characters; the tiny encoder reads MAX_LENGTH words
LONG = "red " * 50_000 + "dog"
START, END = LONG[:LIMIT], LONG[-LIMIT:]


@pytest.fixture
async def client(serving: Any, registry: Any) -> Any:
    async with serving(registry, max_chars_per_item=LIMIT) as client:
        yield client


def tensor(text: str) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]}


def vector(path: str, answer: Any) -> Any:
    """The first vector, wherever a protocol has it."""
    if path == "/v1/embeddings":
        return answer["data"][0]["embedding"]
    if path.startswith("/v2/models"):
        return answer["outputs"][0]["data"]
    if path == "/api/embeddings":
        return answer["embedding"]
    rows = answer["embeddings"] if isinstance(answer, dict) else answer
    return (rows["float"] if isinstance(rows, dict) else rows)[0]


CUTS = [
    ("/encode", {"inputs": LONG, "truncate": "end"}, START),
    ("/encode", {"inputs": LONG, "truncate": "start"}, END),
    ("/v1/embeddings", {"input": LONG, "truncate": "end"}, START),
    ("/v1/embeddings", {"input": [LONG], "truncate": "start"}, END),
    ("/embed", {"inputs": LONG, "truncate": True}, START),
    ("/embed", {"inputs": LONG, "truncate": True, "truncation_direction": "left"}, END),
    ("/", {"inputs": [LONG], "truncate": True, "truncation_direction": "Right"}, START),
    ("/api/embed", {"model": "text", "input": LONG}, START),
    ("/api/embed", {"model": "text", "input": [LONG], "truncate": True}, START),
    ("/api/embed", {"model": "text", "input": [LONG], "truncate": None}, START),
    ("/api/embeddings", {"model": "text", "prompt": LONG}, START),
    ("/v2/embed", {"texts": [LONG]}, START),
    ("/v2/embed", {"texts": [LONG], "truncate": "START"}, END),
    ("/v1/embed", {"texts": [LONG], "truncate": "END"}, START),
    ("/v2/models/text/infer", tensor(LONG) | {"parameters": {"truncate": "end"}}, START),
    ("/v2/models/text/infer", tensor(LONG) | {"parameters": {"truncate": "start"}}, END),
]
KEPT = [
    ("/encode", {"inputs": ["red", LONG]}, '"truncate":"end"'),
    ("/v1/embeddings", {"input": ["red", LONG]}, '"truncate":"end"'),
    ("/embed", {"inputs": ["red", LONG]}, '"truncate":true'),
    ("/api/embed", {"model": "text", "input": ["red", LONG], "truncate": False}, '"truncate":true'),
    ("/v2/embed", {"texts": ["red", LONG], "truncate": "NONE"}, '"truncate":"END"'),
    ("/v2/models/text/infer", tensor(LONG), 'the parameter "truncate":"end"'),
]


@pytest.mark.parametrize(("path", "body", "read"), CUTS)
async def test_a_text_of_any_length_is_cut_on_the_side_that_is_asked_for(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], read: str
) -> None:
    answer = await client.post(path, json=body)
    side = "start" if read is END else "end"
    expected = (await client.post("/encode", json={"inputs": read, "truncate": side})).json()

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(vector(path, answer.json()), expected["embeddings"][0], atol=1e-6)


@pytest.mark.parametrize(("path", "body", "way_out"), KEPT)
async def test_a_text_that_nobody_asked_to_cut_is_refused_with_the_way_out(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], way_out: str
) -> None:
    answer = await client.post(path, json=body)
    message = str(answer.json())

    assert answer.status_code in (400, 422)
    assert f"{len(LONG)} characters, the limit is {LIMIT} (ENCODERY_MAX_CHARS_PER_ITEM)" in message
    assert way_out in message


async def test_the_answer_says_what_was_dropped_and_of_which_input(client: httpx.AsyncClient) -> None:
    spaced = "hello " + " " * LIMIT  # few tokens, many characters
    ask = {"inputs": ["red", LONG, spaced, "the " * tiny.MAX_LENGTH + "cat"], "truncate": "end"}
    answer = (await client.post("/encode", json=ask)).json()

    def told(length: int, limit: int, unit: str) -> dict[str, Any]:
        return {"field": "text", "length": length, "limit": limit, "unit": unit}

    assert answer["warnings"] == [
        {
            "index": 1,
            "truncated": [told(len(LONG), LIMIT, "characters"), told(75, tiny.MAX_LENGTH, "tokens")],
        },
        {"index": 2, "truncated": [told(len(spaced), LIMIT, "characters")]},
        {"index": 3, "truncated": [told(tiny.MAX_LENGTH + 1, tiny.MAX_LENGTH, "tokens")]},
    ]


async def test_the_limit_of_a_request_counts_what_is_read(serving: Any, registry: Any) -> None:
    async with serving(registry, max_chars_per_item=LIMIT, max_chars_per_request=3 * LIMIT) as client:
        fits = await client.post("/encode", json={"inputs": [LONG] * 3, "truncate": "end"})
        over = await client.post("/encode", json={"inputs": [LONG] * 4, "truncate": "end"})

    assert (fits.status_code, over.status_code) == (200, 422)
    assert "ENCODERY_MAX_CHARS_PER_REQUEST" in over.json()["error"]["message"]


async def test_equal_beginnings_of_different_texts_are_told_apart(client: httpx.AsyncClient) -> None:
    other = LONG + " cat"
    answer = (await client.post("/encode", json={"inputs": [LONG, other], "truncate": "end"})).json()

    assert [one["truncated"][0]["length"] for one in answer["warnings"]] == [len(LONG), len(other)]
    assert answer["embeddings"][0] == answer["embeddings"][1]


async def test_a_line_of_a_stream_is_cut_too(client: httpx.AsyncClient) -> None:
    lines = f'"{LONG}"\n"dog"\n'.encode()
    headers = {"Content-Type": "application/x-ndjson"}
    cut = await client.post("/encode?truncate=start", content=lines, headers=headers)
    kept = await client.post("/encode", content=lines, headers=headers)

    assert '"truncated":[{"field":"text","length":200003' in cut.text.splitlines()[0]
    assert '"code":"too_large"' in kept.text.splitlines()[0]
    assert cut.text.splitlines()[1] == kept.text.splitlines()[1]


async def test_candidates_are_cut_where_the_query_is(client: httpx.AsyncClient) -> None:
    ask = {"query": LONG, "candidates": ["blue", LONG], "truncate": "start"}
    answer = await client.post("/score", json=ask)
    refused = await client.post("/score", json=ask | {"query": "red", "truncate": "none"})

    assert answer.json()["results"][0] == {"index": 1, "score": pytest.approx(1, abs=1e-5)}
    assert [one["param"] for one in answer.json()["warnings"]] == ["query", "candidates[1]"]
    assert refused.json()["error"]["param"] == "candidates[1]"
