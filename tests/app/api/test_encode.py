"""POST /encode over HTTP, with real sessions: what comes back, in which form."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import orjson
import pytest
import tiny

from app.api.encode import EncodeResponse
from app.engine import Registry
from bundle import Features, Store, Text, publish

SAME = 1e-5  # float32 through another batch shape


async def encode(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/encode", json=body)


def expected(registry: Registry, name: str, inputs: list[Any]) -> np.ndarray:
    return registry.find(name).encoder.encode(inputs)


async def test_one_text_gives_one_vector(client: httpx.AsyncClient, registry: Registry) -> None:
    response = await encode(client, inputs="hello world")

    answer = EncodeResponse.model_validate_json(response.content)
    manifest = registry.find("text").manifest
    assert response.status_code == 200
    assert (answer.model, answer.version, answer.space, answer.dim) == ("text", "1", manifest.space, tiny.DIM)
    assert (answer.usage.items, answer.usage.tokens, answer.warnings) == (1, 2, [])
    np.testing.assert_allclose(
        answer.embeddings, expected(registry, "text", [Text("hello world")]), atol=SAME
    )


async def test_vectors_stand_in_the_order_of_the_inputs(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    texts = ["the cat", "dog", "a red lamp on the mat", "hello", "the dog ran on the mat"]

    answer = (await encode(client, inputs=texts)).json()

    np.testing.assert_allclose(
        answer["embeddings"], expected(registry, "text", list(map(Text, texts))), atol=SAME
    )


@pytest.mark.parametrize(("model", "inputs"), [("shop-user", tiny.USERS), ("shop-item", tiny.ITEM_INPUTS)])
async def test_features_are_encoded(
    client: httpx.AsyncClient, registry: Registry, model: str, inputs: list[dict[str, Any]]
) -> None:
    answer = (await encode(client, model=model, inputs=inputs, now=tiny.NOW)).json()

    features = [Features(values, tiny.NOW) for values in inputs]
    np.testing.assert_allclose(answer["embeddings"], expected(registry, model, features), atol=SAME)
    assert answer["usage"] == {"items": len(inputs), "tokens": 0}


async def test_one_object_is_one_input(client: httpx.AsyncClient) -> None:
    answer = (await encode(client, model="shop-user", inputs={"country": "GB"})).json()

    assert len(answer["embeddings"]) == 1


async def test_json_numbers_read_back_as_the_same_float32(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    """Digits are the shortest that round-trip, so JSON loses nothing against base64 or raw."""
    body = {"inputs": tiny.TEXTS, "truncate": "end"}

    as_json = (await client.post("/encode", json=body)).json()["embeddings"]
    as_base64 = (await client.post("/encode", json=body | {"encoding": "base64"})).json()["embeddings"]
    raw = await client.post("/encode", json=body, headers={"Accept": "application/octet-stream"})
    npy = await client.post("/encode", json=body, headers={"Accept": "application/x-npy"})

    bits = np.frombuffer(raw.content, "<f4").reshape(-1, tiny.DIM)
    assert raw.headers["x-embedding-shape"] == f"{len(tiny.TEXTS)},{tiny.DIM}"
    assert raw.headers["x-embedding-warnings"] == npy.headers["x-embedding-warnings"] == "2"
    np.testing.assert_array_equal(np.array(as_json, dtype=np.float32), bits)
    np.testing.assert_array_equal(
        np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in as_base64]), bits
    )
    np.testing.assert_array_equal(np.load(io.BytesIO(npy.content), allow_pickle=False), bits)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("text/html, application/json;q=0.5", "application/json"),
        ("application/json;q=0.1, application/x-npy", "application/x-npy"),
        ("application/octet-stream;q=x, */*;q=0.1", "application/json"),
    ],
)
async def test_accept_chooses_the_form(client: httpx.AsyncClient, accept: str, media_type: str) -> None:
    response = await client.post("/encode", json={"inputs": "hello"}, headers={"Accept": accept})

    assert response.headers["content-type"] == media_type


async def test_headers_say_what_answered(client: httpx.AsyncClient, registry: Registry) -> None:
    response = await client.post("/encode", json={"inputs": "hello"}, headers={"X-Request-ID": "mine-1"})

    assert response.headers["x-request-id"] == "mine-1"
    assert response.headers["x-model-version"] == "text/1"
    assert response.headers["x-embedding-space"] == registry.find("text").manifest.space
    parts = [part.strip().split(";dur=") for part in response.headers["server-timing"].split(",")]
    assert [name for name, _ in parts] == ["prepare", "queue", "run"]
    assert all(float(ms) >= 0 for _, ms in parts)


@pytest.mark.parametrize("unfit", ["", "a b", "x" * 129, "naïve", "a;b"])
async def test_an_unfit_request_id_is_replaced(client: httpx.AsyncClient, unfit: str) -> None:
    response = await client.post(
        "/encode", json={"inputs": "hello"}, headers={b"X-Request-ID": unfit.encode()}
    )

    assert len(response.headers["x-request-id"]) == 32


async def test_shorter_vectors_are_of_a_space_of_their_own(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    full = registry.find("text").encoder
    space = f"{full.manifest.space}@{tiny.DIM // 2}"

    response = await encode(client, inputs="the cat", dimensions=tiny.DIM // 2, space=space)

    answer = response.json()
    assert (answer["dim"], answer["space"], response.headers["x-embedding-space"]) == (
        tiny.DIM // 2,
        space,
        space,
    )
    np.testing.assert_allclose(
        answer["embeddings"], full.cut(full.encode([Text("the cat")]), tiny.DIM // 2), atol=SAME
    )


async def test_warnings_tell_what_was_cut_or_unknown(client: httpx.AsyncClient) -> None:
    texts = await encode(client, inputs=["hello", "the " * 20, "unheard"], truncate="end")
    users = await encode(client, model="shop-user", inputs=[{"history": ["A1"]}, {"country": "unheard"}])

    cut = {"field": "text", "length": 20, "limit": tiny.MAX_LENGTH, "unit": "tokens"}
    assert texts.json()["warnings"] == [
        {"index": 1, "truncated": [cut]},
        {"index": 2, "unknown": ["text"]},
    ]
    assert users.json()["warnings"] == [{"index": 1, "unknown": ["country"], "empty_history": True}]


async def test_truncation_from_the_start_keeps_the_end(client: httpx.AsyncClient, registry: Registry) -> None:
    kept = "cat " * tiny.MAX_LENGTH

    answer = (await encode(client, inputs=f"dog dog {kept}", truncate="start")).json()

    np.testing.assert_allclose(answer["embeddings"], expected(registry, "text", [Text(kept)]), atol=SAME)


async def test_now_may_be_a_number_or_iso_8601(client: httpx.AsyncClient) -> None:
    """Both spellings of one moment give the same vector."""
    user = {"history": [{"id": "A1", "time": "2023-10-01"}]}
    answers = [
        (await encode(client, model="shop-user", inputs=user, now=now)).json()
        for now in (1_700_000_000, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20")
    ]

    assert answers[0]["embeddings"] == answers[1]["embeddings"] == answers[2]["embeddings"]


async def test_every_documented_error_has_our_shape(client: httpx.AsyncClient) -> None:
    """FastAPI adds its own shape of a 422 to every route with a parameter; none is ever sent."""
    document = (await client.get("/openapi.json")).json()

    assert "HTTPValidationError" not in document["components"]["schemas"]


async def test_the_openapi_document_describes_what_is_taken(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    operation = document["paths"]["/encode"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) >= {"inputs", "model", "space", "truncate", "dimensions"}
    assert body["schema"]["additionalProperties"] is False
    assert set(operation["responses"]) >= {
        "200",
        "400",
        "404",
        "412",
        "413",
        "415",
        "422",
        "429",
        "503",
        "504",
    }
    assert set(operation["responses"]["200"]["content"]) == {
        "application/json",
        "application/octet-stream",
        "application/x-ndjson",
        "application/x-npy",
        "application/vnd.apache.arrow.stream",
    }


def test_orjson_keeps_every_float32() -> None:
    """Random bit patterns, subnormals and extremes included."""
    bits = np.random.default_rng(0).integers(0, 2**32, size=(64, 257), dtype=np.uint32).view(np.float32)
    vectors = np.where(np.isfinite(bits), bits, np.float32(1e-45))

    written = orjson.dumps({"embeddings": vectors}, option=orjson.OPT_SERIALIZE_NUMPY)

    np.testing.assert_array_equal(np.array(orjson.loads(written)["embeddings"], dtype=np.float32), vectors)


@pytest.mark.parametrize("asked", ["0", "-1", "soon", "1.5", "9" * 30, "²"])
async def test_a_timeout_that_is_no_number_is_refused(client: httpx.AsyncClient, asked: str) -> None:
    headers = {b"X-Request-Timeout-Ms": asked.encode("latin-1")}
    response = await client.post("/encode", json={"inputs": "hello"}, headers=headers)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "invalid_timeout")
    assert (error["param"], "60000" in error["message"]) == ("X-Request-Timeout-Ms", True)


async def test_a_caller_who_would_wait_longer_than_the_server_allows_is_served(
    client: httpx.AsyncClient,
) -> None:
    headers = {"X-Request-Timeout-Ms": "600000"}
    response = await client.post("/encode", json={"inputs": "hello"}, headers=headers)

    assert response.status_code == 200


async def test_a_caller_may_wait_for_less_than_the_server_allows(serving: Any, only: Any, fake: Any) -> None:
    encoder = fake()
    encoder.hold()
    async with serving(only(encoder)) as client:
        headers = {"X-Request-Timeout-Ms": "20"}
        response = await client.post("/encode", json={"inputs": "hello"}, headers=headers)
        encoder.gate.set()

    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert "0.02 s" in response.json()["error"]["message"]


@pytest.mark.parametrize(("priority", "status"), [("bulk", 200), ("interactive", 200), ("urgent", 422)])
async def test_priority_names_a_lane(client: httpx.AsyncClient, priority: str, status: int) -> None:
    headers = {"X-Priority": priority}
    response = await client.post("/encode", json={"inputs": "hello"}, headers=headers)

    assert response.status_code == status


async def test_equal_inputs_are_encoded_once(serving: Any, only: Any, fake: Any) -> None:
    """Each still has its vector, its warning and its tokens."""
    encoder = fake()
    texts = ["cat", "unheard", "cat", "dog", "unheard"]
    async with serving(only(encoder), threads=1) as client:
        answer = (await client.post("/encode", json={"inputs": texts})).json()

    assert encoder.batches == [3]
    np.testing.assert_allclose(answer["embeddings"], encoder._real.encode(list(map(Text, texts))), atol=SAME)
    assert [warning["index"] for warning in answer["warnings"]] == [1, 4]
    assert answer["usage"] == {"items": 5, "tokens": 5}


async def test_equal_features_are_encoded_once_whatever_the_order_of_fields(
    serving: Any, only: Any, fake: Any
) -> None:
    encoder = fake(name="shop-user")
    users = [{"country": "GB", "history": ["A1"]}, {"history": ["A1"], "country": "GB"}, {"country": "DE"}]
    async with serving(only(encoder), threads=1) as client:
        answer = (await client.post("/encode", json={"model": "shop-user", "inputs": users})).json()

    assert encoder.batches == [2]
    assert answer["embeddings"][0] == answer["embeddings"][1] != answer["embeddings"][2]


async def test_an_error_names_the_place_in_the_request_not_among_distinct_inputs(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post("/encode", json={"inputs": ["cat", "cat", "cat", "the " * 20]})

    assert response.json()["error"]["param"] == "inputs[3]"


PROMPTS = {"query": "the cat ", "passage": "the dog "}


@pytest.mark.parametrize(
    "case",
    [
        ({"prompt": "query"}, None, "the cat hello"),
        ({"prompt": "passage"}, "query", "the dog hello"),
        ({}, "query", "the cat hello"),
        ({}, None, "hello"),
        ({"prompt": ""}, "query", "hello"),
    ],
)
async def test_a_prompt_is_put_before_every_text(
    case: tuple[dict[str, str], str | None, str], tmp_path: Path, serving: Any, only: Any
) -> None:
    """What is asked for, the model's default, and what the encoder then reads."""
    asked, default, read = case
    (manifest,) = publish(tmp_path, [tiny.text_draft(prompts=PROMPTS, default_prompt=default)])
    encoder = Store(tmp_path).load("text")
    prepared = encoder.prepare([Text(read)])
    async with serving(only(encoder)) as client:
        answer = (await encode(client, inputs=["hello"], **asked)).json()

    np.testing.assert_allclose(answer["embeddings"], encoder.run(prepared), atol=SAME)
    assert answer["usage"]["tokens"] == prepared[0].facts.tokens
    assert answer["space"] == manifest.space  # prompts are made to be compared across


@pytest.mark.parametrize(
    ("prompts", "has"), [(PROMPTS, "it has: passage, query"), ({}, "it has none")], ids=["some", "none"]
)
async def test_a_prompt_that_is_not_there_is_refused(
    prompts: dict[str, str], has: str, tmp_path: Path, serving: Any, only: Any
) -> None:
    publish(tmp_path, [tiny.text_draft(prompts=prompts)])
    async with serving(only(Store(tmp_path).load("text"))) as client:
        response = await encode(client, inputs="hello", prompt="question")

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (422, "unknown_prompt", "prompt")
    assert error["message"].endswith(has)
    assert "question" not in error["message"]


async def test_a_prompt_is_put_before_every_line_of_a_stream(tmp_path: Path, serving: Any, only: Any) -> None:
    publish(tmp_path, [tiny.text_draft(prompts=PROMPTS, default_prompt="query")])
    encoder = Store(tmp_path).load("text")
    async with serving(only(encoder)) as client:
        headers = {"Content-Type": "application/x-ndjson"}
        lines = (await client.post("/encode", content=b'"hello"\n', headers=headers)).text.splitlines()
        tei = await client.post("/embed", json={"inputs": "hello", "prompt_name": "passage"})

    found = orjson.loads(lines[0])["embedding"]
    for text, vector in (("the cat hello", found), ("the dog hello", tei.json()[0])):
        np.testing.assert_allclose(vector, encoder.run(encoder.prepare([Text(text)]))[0], atol=SAME)


@pytest.mark.parametrize("path", ["/encode?dimensions=4", "/encode?modle=x", "/score?top_k=1"])
async def test_options_beside_a_json_body_are_not_ignored(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"inputs": "hello"})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "unknown_field", "query")


@pytest.mark.parametrize("field", ["input", "inpts", "text"])
async def test_a_slip_in_a_field_is_told_before_what_is_missing(
    client: httpx.AsyncClient, field: str
) -> None:
    error = (await client.post("/encode", json={field: "hello"})).json()["error"]

    assert error["code"] == "unknown_field"
    assert "inputs" in error["message"]
