"""Who takes the wrong path, method or field is told the right one, in the protocol's own shape."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.hints import nearest_path

KNOWN = ["/", "/encode", "/embed", "/v1/embeddings", "/embeddings", "/v1/models/{model}", "/api/embed",
    "/api/tags", "/v2", "/v2/models/{model}", "/v2/models/{model}/infer", "/health/live"]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("//embed", "/embed"),
        ("/embed/", "/embed"),
        ("/ENCODE", "/encode"),
        ("/v1//embeddings", "/v1/embeddings"),
        ("/v1/v1/embeddings", "/v1/embeddings"),
        ("/api/v1/embeddings", "/v1/embeddings"),
        ("/openai/deployments/x/embeddings", "/embeddings"),
        ("/v1/encode", "/encode"),
        ("/v1/embedings", "/v1/embeddings"),
        ("/v2/models/text/infer/", "/v2/models/{model}/infer"),
        ("/api/tag", "/api/tags"),
        ("/health/alive", "/health/live"),
        ("//", "/"),
        ("/wp-login.php", None),
    ],
)
def test_a_path_leads_to_the_one_that_was_meant(path: str, meant: str | None) -> None:
    assert nearest_path(path, KNOWN) == meant


@given(st.text())
def test_any_path_can_be_looked_for(path: str) -> None:
    assert nearest_path(path, KNOWN) in {*KNOWN, None}


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("POST", "/encode/", "did you mean POST /encode?"),
        ("POST", "/v1/embeddings/", "did you mean POST /v1/embeddings?"),
        ("POST", "/v1/v1/embeddings", "did you mean POST /v1/embeddings?"),
        ("POST", "//score", "did you mean POST /score?"),
        ("POST", "/Api/Embed", "did you mean POST /api/embed?"),
        ("GET", "/v2/models/text/redy", "did you mean GET /v2/models/{model}/ready?"),
        ("GET", "/Models", "did you mean GET /models?"),
    ],
)
async def test_an_unknown_path_is_told_the_right_one(
    client: httpx.AsyncClient, method: str, path: str, told: str
) -> None:
    answer = await client.request(method, f"http://encodery.test{path}")

    assert answer.status_code == 404
    assert told in answer.text


@pytest.mark.parametrize(
    ("path", "shape"),
    [("/api/models", str), ("/api/blobs/sha256:00", str), ("/v2/models/text/config", str),
     ("/v2/models/stats", str), ("/v2/repository/models/text/lod", str),
     ("/v1/audio/speech", dict), ("/nothing", dict)],
)  # fmt: skip
async def test_an_unknown_path_is_told_in_the_shape_of_its_kin(
    client: httpx.AsyncClient, path: str, shape: type
) -> None:
    answer = await client.post(path, json={})

    assert answer.status_code in (404, 405)
    assert isinstance(answer.json()["error"], shape)


@pytest.mark.parametrize(
    "path",
    ["/v2/", "/v2/nothing", "/v2/model", "/V2/Models/Text/Confg", "//v2//trace/setting",
     "/v2/models/text/versions", "/v2/systemsharedmemory/status", "/v2/logging", "/v2/%6dodelz",
     "/v2/repository/models/text/reload",
     "/v2/health", "/v2/v1/embeddings", "/v2/encode", "/v2/rank"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
async def test_all_under_v2_is_refused_with_a_sentence_alone(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    """Whatever is near it: clients of the Open Inference Protocol print nothing else."""
    answer = await client.request(method, f"http://encodery.test{path}")

    assert answer.status_code in (404, 405)
    assert answer.json().keys() == {"error"}
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize(
    ("path", "told"),
    [("/v2/models/text/stats", "/metrics"), ("/v2/models/text/versions/1/stats", "/metrics"),
     ("/v2/systemsharedmemory/region/r/register", "no memory"), ("/v2/cudasharedmemory/status", "no memory"),
     ("/v2/trace/setting", "ENCODERY_LOG_LEVEL"), ("/v2/logging", "ENCODERY_LOG_LEVEL")],
)  # fmt: skip
async def test_what_triton_has_beside_says_what_to_do_instead(
    client: httpx.AsyncClient, path: str, told: str
) -> None:
    answers = [await client.request(method, path) for method in ("GET", "POST")]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert all(told in answer.json()["error"] for answer in answers)


@pytest.mark.parametrize("path", ["/v2/embed/", "/v2/embedd", "/v2/v2/embed"])
async def test_what_was_meant_as_coheres_is_told_as_cohere_does(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={})

    assert answer.status_code == 404
    assert answer.json().keys() == {"message"}


@pytest.mark.parametrize("path", ["/encode", "/score", "/v1/embeddings", "/embed", "/api/embed", "/v2/embed"])
async def test_a_browser_at_a_path_for_post_is_told_so(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "this path takes POST" in answer.text
    assert "/docs" in answer.text


SLIPS: list[tuple[str, dict[str, Any], str]] = [
    ("/encode", {"imputs": ["a"]}, "inputs"),
    ("/encode", {"inputs": ["a"], "dimension": 4}, "dimensions"),
    ("/score", {"query": "a", "candidate": ["b"]}, "candidates"),
    ("/v1/embeddings", {"imput": "a"}, "input"),
    ("/v1/embeddings", {"input": "a", "dimension": 4}, "dimensions"),
    ("/v1/embeddings", {"input": "a", "encoding_fromat": "base64"}, "encoding_format"),
    ("/embed", {"input": "a"}, "inputs"),
    ("/embed", {"inputs": "a", "normalise": False}, "normalize"),
    ("/similarity", {"inputs": {"source_sentense": "a", "sentences": ["b"]}}, "source_sentence"),
    ("/api/embed", {"model": "text", "inputs": "a"}, "input"),
    ("/api/embeddings", {"model": "text", "promt": "a"}, "prompt"),
    ("/v2/embed", {"text": ["a"]}, "texts"),
    ("/v2/embed", {"texts": ["a"], "embeding_types": ["int8"]}, "embedding_types"),
    ("/v2/models/text/infer", {"input": []}, "inputs"),
    ("/v2/models/text/infer", {"inputs": [], "parameters": {"dimension": 4}}, "dimensions"),
    ("/api/show", {"modell": "text"}, "model"),
]


@pytest.mark.parametrize(("path", "body", "field"), SLIPS)
async def test_a_slip_in_a_fields_name_is_told_the_field(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(path, json=body)
    error = answer.json().get("error", answer.json().get("message"))

    assert answer.status_code in (400, 422)
    assert f'did you mean "{field}"?' in (error["message"] if isinstance(error, dict) else error)


@pytest.mark.parametrize(
    "body", [{"input": "a", "x": 1}, {"input": "a", "extra_body": {}}, {"input": "a", "n": None}]
)
async def test_what_is_like_no_field_is_ignored(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.post("/v1/embeddings", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": ["red", ""]}, "input[1]"),
        ({"input": [["a"]]}, "input[0]"),
        ({}, "input"),
        ({"input": "a", "model": "absent"}, "model"),
        ({"input": "a", "model": "text/9"}, "model"),
        ({"input": "a", "dimensions": 5}, "dimensions"),
        ({"input": "a", "dimensions": "4"}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "prompt": "absent"}, "prompt"),
        ({"input": "a", "modality": "video"}, "modality"),
    ],
)
async def test_openais_param_names_what_is_wrong(
    client: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    answer = await client.post("/v1/embeddings", json=body)

    assert answer.json()["error"]["param"] == param


async def test_similarity_names_the_sentence_as_it_was_sent(client: httpx.AsyncClient) -> None:
    sources = {"source_sentence": "", "sentences": ["a"]}
    others = {"source_sentence": "a", "sentences": ["red", "blue", ""]}
    told = [
        (await client.post("/similarity", json={"inputs": one})).json()["error"] for one in (sources, others)
    ]

    assert told[0].startswith("inputs.source_sentence: the text is empty")
    assert told[1].startswith("inputs.sentences[2]: the text is empty")


@pytest.mark.parametrize(
    ("body", "told"), [({}, '"texts" is missing'), ({"texts": []}, "texts: the list is empty")]
)
async def test_cohere_is_told_that_there_are_no_texts(
    client: httpx.AsyncClient, body: dict[str, Any], told: str
) -> None:
    answer = await client.post("/v2/embed", json={"model": "text", **body})

    assert (answer.status_code, told in answer.json()["message"]) == (400, True)


async def test_ollamas_older_route_names_its_own_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/embeddings", json={"model": "text", "prompt": " "})

    assert answer.json()["error"].startswith("prompt: the text is empty")
