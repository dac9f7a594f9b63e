"""Sparse vectors and mixed scores over HTTP, of a bundle with statistics of words and of one without."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.api.encode import EncodeResponse
from app.api.score_form import ScoreResponse
from app.engine import Registry, load_registry
from bundle import SparseVector, Store, Text, publish

DOCUMENTS = ["the cat sat on the mat", "a red lamp", "dog", "the the red cat", "a red lamp", "unheard"]
QUERY = "red cat red"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """text has statistics in version 2, and not in version 1; the shop has no words."""
    models = tmp_path_factory.mktemp("counted")
    tiny.publish_all(models)
    publish(models, [replace(tiny.text_draft(), lexical=tiny.lexical())])
    return load_registry(Store(models), versions_per_model=2)


@pytest.fixture
async def client(counted: Registry, serving: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(counted) as client:
        yield client


async def sparse(client: httpx.AsyncClient, inputs: Any, **body: Any) -> httpx.Response:
    return await client.post("/encode", json={"inputs": inputs, "output": "sparse"} | body)


def vector(row: Any) -> SparseVector:
    return SparseVector(np.array(row["indices"], np.uint32), np.array(row["values"], np.float32))


def by_hand(counted: Registry, role: Any, texts: list[str]) -> list[SparseVector]:
    encoder = counted.find("text").encoder
    return encoder.sparse(encoder.prepare([Text(text) for text in texts], "end"), role)


async def test_a_text_s_words_are_weighed_as_the_bundle_says(
    client: httpx.AsyncClient, counted: Registry
) -> None:
    for role in ("query", "document"):
        response = await sparse(client, DOCUMENTS, input_type=role)

        answer = response.json()
        EncodeResponse.model_validate(answer)
        for row, expected in zip(answer["embeddings"], by_hand(counted, role, DOCUMENTS), strict=True):
            assert row["indices"] == expected.indices.tolist()
            assert row["values"] == pytest.approx(expected.values.tolist(), rel=1e-6)
        assert (answer["dim"], answer["version"]) == (len(tiny.WORDS), "2")
        assert response.headers["X-Embedding-Space"] == answer["space"]
        assert answer["embeddings"][5] == {"indices": [], "values": []}
        assert answer["warnings"] == [{"index": 5, "unknown": ["text"]}]


async def test_documents_are_what_is_weighed_where_nothing_is_said(client: httpx.AsyncClient) -> None:
    said = (await sparse(client, "a red lamp", input_type="document")).json()

    assert (await sparse(client, "a red lamp")).json() == said


async def test_base64_has_the_same_numbers(client: httpx.AsyncClient, counted: Registry) -> None:
    [row] = (await sparse(client, DOCUMENTS[0], encoding="base64")).json()["embeddings"]

    [expected] = by_hand(counted, "document", DOCUMENTS[:1])
    assert np.frombuffer(base64.b64decode(row["indices"]), "<u4").tolist() == expected.indices.tolist()
    assert np.frombuffer(base64.b64decode(row["values"]), "<f4").tolist() == expected.values.tolist()


async def test_a_stream_answers_line_by_line(client: httpx.AsyncClient) -> None:
    whole = (await sparse(client, ["a red lamp", "dog"], input_type="query")).json()["embeddings"]

    response = await client.post(
        "/encode?output=sparse&input_type=query",
        content=b'"a red lamp"\n""\n"dog"\n',
        headers={"Content-Type": "application/x-ndjson"},
    )

    lines = [httpx.Response(200, content=line).json() for line in response.content.splitlines()]
    assert [line.get("embedding") for line in lines] == [whole[0], None, whole[1], None]
    assert lines[1]["error"]["code"] == "empty_input"
    assert response.headers["X-Embedding-Space"].endswith("+sparse")


async def test_what_is_cut_is_told(client: httpx.AsyncClient) -> None:
    long = "cat " * (tiny.MAX_LENGTH + 4)

    refused, cut = await sparse(client, long), (await sparse(client, long, truncate="end")).json()

    assert refused.json()["error"]["code"] == "too_long"
    assert cut["warnings"] == [
        {"index": 0, "truncated": [{"field": "text", "length": 20, "limit": 16, "unit": "tokens"}]}
    ]
    assert cut["embeddings"][0]["indices"] == [tiny.WORDS.index("cat")]


async def test_its_space_is_none_of_dense_vectors(client: httpx.AsyncClient) -> None:
    space = (await sparse(client, "dog")).json()["space"]
    dense = (await client.post("/encode", json={"inputs": "dog"})).json()["space"]

    same = await sparse(client, "dog", space=space)
    assert (same.status_code, same.json()["space"]) == (200, space)
    for wrong in (await sparse(client, "dog", space=dense), await sparse(client, "dog", space=f"{space}x")):
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (412, "space_mismatch")
    crossed = await client.post("/encode", json={"inputs": "dog", "space": space})
    assert crossed.status_code == 412


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({"version": "1"}, "no_lexical_statistics", "encodery lexical CONFIG.toml"),
        ({"model": "shop-user", "inputs": {}}, "no_words", "which have no words"),
        ({"dimensions": 4}, "invalid_dimensions", "a dimension is a word"),
        ({"prompt": "query"}, "unknown_prompt", "has no prompt"),
        ({"input_type": "passage"}, "invalid_value", "input_type"),
        ({"output": "float32", "input_type": "query"}, "unsupported", "prompt"),
        ({"inputs": []}, "empty_inputs", "at least one"),
        ({"inputs": ["dog", " "]}, "empty_input", "inputs[1]"),
    ],
)
async def test_what_cannot_be_had_is_refused_with_the_way_out(
    client: httpx.AsyncClient, body: dict[str, Any], code: str, told: str
) -> None:
    response = await sparse(client, **({"inputs": "dog"} | body))

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, code)
    assert told in error["message"] or told == error["param"]


@pytest.mark.parametrize("accept", ["application/octet-stream", "application/x-npy"])
async def test_there_is_no_block_of_sparse_vectors(client: httpx.AsyncClient, accept: str) -> None:
    body = {"inputs": "dog", "output": "sparse"}
    response = await client.post("/encode", json=body, headers={"Accept": accept})

    assert response.status_code == 406
    assert "application/json" in response.json()["error"]["message"]


async def test_they_count_as_work_of_their_key_and_model(
    counted: Registry, serving: Any, tmp_path: Path
) -> None:
    """Twelve tokens empty a bucket of five, as those of dense vectors would."""
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[search]\nsha256 = "{hashlib.sha256(b"ek_search").hexdigest()}"\ntokens_per_s = 5\n')
    async with serving(counted, keys_file=keys) as client:
        client.headers["X-API-Key"] = "ek_search"
        first, second = await sparse(client, ["cat " * 6, "dog " * 6]), await sparse(client, "cat")
        metrics = client.app.state.context.metrics.registry

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["error"]["code"] == "rate_limited"
    read = {"model": "text", "version": "2"}
    assert metrics.get_sample_value("encodery_tokens_total", read) == 12
    assert metrics.get_sample_value("encodery_items_total", read) == 2


# TEI


async def test_tei_s_sparse_vectors_are_the_same(client: httpx.AsyncClient) -> None:
    for prompt, role in (("query", "query"), ("passage", "document"), (None, "document")):
        body = {"inputs": DOCUMENTS} | ({"prompt_name": prompt} if prompt else {})
        response = await client.post("/embed_sparse", json=body)

        ours = (await sparse(client, DOCUMENTS, input_type=role)).json()["embeddings"]
        assert response.json() == [
            [{"index": index, "value": value} for index, value in zip(*row.values(), strict=True)]
            for row in ours
        ]
        assert int(response.headers["x-compute-tokens"]) == 18


async def test_tei_says_what_is_missing(client: httpx.AsyncClient, registry: Registry, serving: Any) -> None:
    wrong = await client.post("/embed_sparse", json={"inputs": "dog", "prompt_name": "title"})
    async with serving(registry) as plain:
        response = await plain.post("/embed_sparse", json={"inputs": "dog"})

    assert (wrong.status_code, wrong.json()["error_type"]) == (422, "Validation")
    assert (response.status_code, response.json()["error_type"]) == (424, "Backend")
    assert "SPLADE" in response.json()["error"]
    assert "encodery lexical" in response.json()["error"]


# POST /score


async def ranked(client: httpx.AsyncClient, mix: float, **body: Any) -> ScoreResponse:
    content = {"query": QUERY, "candidates": DOCUMENTS, "mix": mix} | body
    response = await client.post("/score", json=content)
    return ScoreResponse.model_validate_json(response.content)


async def test_a_mix_is_the_sum_of_cosine_and_words(client: httpx.AsyncClient, counted: Registry) -> None:
    encoder = counted.find("text").encoder
    vectors = encoder.encode([Text(text) for text in [QUERY, *DOCUMENTS]])
    [asked], documents = by_hand(counted, "query", [QUERY]), by_hand(counted, "document", DOCUMENTS)
    words = np.array([asked @ one for one in documents])
    for mix in (0.4, 1.0):
        expected = (1 - mix) * (vectors[1:] @ vectors[0]) + mix * words / words.max()

        answer = await ranked(client, mix)

        best = np.argsort(-expected, kind="stable")
        scores = [one.score for one in answer.results]
        np.testing.assert_allclose(scores, expected[best], atol=CLOSE)
        for one in answer.results:
            assert one.bm25 == pytest.approx(words[one.index], rel=1e-6)
            assert one.cosine == pytest.approx(vectors[1 + one.index] @ vectors[0], abs=CLOSE)
        assert answer.mix is not None
        assert (answer.mix.bm25, answer.mix.largest_bm25) == (mix, pytest.approx(words.max(), rel=1e-6))
        assert answer.mix.space == encoder.sparse_space


async def test_without_a_mix_nothing_is_mixed(client: httpx.AsyncClient) -> None:
    plain, none = await ranked(client, 0.0), (await client.post("/score", json={
        "query": QUERY, "candidates": DOCUMENTS})).json()  # fmt: skip

    assert plain.mix is None
    assert ScoreResponse.model_validate(none) == plain
    assert set(none["results"][0]) == {"index", "score"}


async def test_where_no_word_is_shared_the_cosines_decide(client: httpx.AsyncClient) -> None:
    body = {"query": "blue", "candidates": ["dog", "cat", "unheard"]}
    cosines, mixed = await ranked(client, 0.0, **body), await ranked(client, 0.5, **body)

    assert [one.index for one in mixed.results] == [one.index for one in cosines.results]
    assert [2 * one.score for one in mixed.results] == pytest.approx([one.score for one in cosines.results])
    assert mixed.mix is not None
    assert mixed.mix.largest_bm25 == 0.0


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"mix": 1.5}, "invalid_value", "mix"),
        ({"mix": 0.5, "version": "1"}, "no_lexical_statistics", "model"),
        ({"mix": 0.5, "model": "shop-user", "query": {}, "candidates": ["A1"]}, "no_words", "model"),
        ({"mix": 0.5, "candidates": None, "vectors": [[0.0] * 8], "space": "x"}, "unsupported", "mix"),
        ({"mix": 0.5, "candidates": ["dog", ""]}, "empty_input", "candidates[1]"),
        ({"mix": 0.5, "candidates": ["dog", "cat " * 20]}, "too_long", "candidates[1]"),
    ],
)
async def test_a_mix_that_cannot_be_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], code: str, param: str
) -> None:
    response = await client.post("/score", json={"query": QUERY, "candidates": DOCUMENTS} | body)

    assert (response.status_code, response.json()["error"]["code"]) == (422, code)
    assert response.json()["error"]["param"] == param
