"""The Open Inference Protocol: health, metadata, tensors in JSON and in binary."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny

from app.engine import Model, Registry

TEXTS = ["hello world", "the cat"]
LENGTH = "Inference-Header-Content-Length"


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


async def encoded(client: httpx.AsyncClient, **body: Any) -> np.ndarray:
    return np.array((await client.post("/encode", json=body)).json()["embeddings"])


async def test_health_is_the_status_and_json(client: httpx.AsyncClient) -> None:
    live, ready = await client.get("/v2/health/live"), await client.get("/v2/health/ready")
    client.app.state.context.is_draining = True
    draining = await client.get("/v2/health/ready")

    assert (live.json(), ready.json(), draining.json()) == ({"live": True}, {"ready": True}, {"ready": False})
    assert (live.status_code, ready.status_code, draining.status_code) == (200, 200, 400)
    assert {one.headers["content-type"] for one in (live, ready, draining)} == {"application/json"}


async def test_what_is_still_loading_is_no_fault_of_the_request(serving, registry) -> None:
    """The status that proxies and clients try again for, with the time to."""
    text = registry.models["text"]
    loading = Model("text", "1", {}, loading=("1",))
    async with serving(Registry({"text": loading})) as client:
        ready = await client.get("/v2/models/text/ready")
        infer = await client.post("/v2/models/text/infer", json={"inputs": [GOOD]})

    assert text.is_ready
    for answer in (ready, infer):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "still being loaded" in answer.json()["error"]


async def test_models_are_listed_by_all_their_names(serving, registry) -> None:
    async with serving(registry, model_aliases="minilm=text,gone=nothing") as client:
        found = (await client.get("/v2/models")).json()

    assert found == {"models": [*registry.models, "minilm"]}


@pytest.mark.parametrize("path", ["text", "shop-user", "shop-item/versions/1"])
async def test_the_configuration_has_the_same_tensors(client: httpx.AsyncClient, path: str) -> None:
    """As Triton writes them; a batch is in the shapes, so that `max_batch_size` is 0."""
    metadata = (await client.get(f"/v2/models/{path}")).json()
    config = (await client.get(f"/v2/models/{path}/config")).json()

    assert (config["name"], config["max_batch_size"]) == (metadata["name"], 0)
    for found, told in (("input", "inputs"), ("output", "outputs")):
        assert [(one["name"], one["dims"]) for one in config[found]] == [
            (one["name"], one["shape"]) for one in metadata[told]
        ]
        assert [one["data_type"].replace("STRING", "BYTES") for one in config[found]] == [
            f"TYPE_{one['datatype']}" for one in metadata[told]
        ]
    assert {one["optional"] for one in config["input"]} == {path != "text"}


async def test_the_configuration_of_no_model_is_refused(client: httpx.AsyncClient) -> None:
    for path in ("no/config", "text/versions/9/config"):
        answer = await client.get(f"/v2/models/{path}")

        assert answer.status_code == 404
        assert isinstance(answer.json()["error"], str)


async def test_metadata_names_the_tensors_of_each_kind(client: httpx.AsyncClient) -> None:
    text = (await client.get("/v2/models/text")).json()
    item = (await client.get("/v2/models/shop-item/versions/1")).json()

    assert text["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert text["outputs"] == [{"name": "embedding", "datatype": "FP32", "shape": [-1, tiny.DIM]}]
    assert [(one["name"], one["datatype"]) for one in item["inputs"]] == [
        ("id", "BYTES"),
        ("title", "BYTES"),
        ("price", "FP64"),
    ]


@pytest.mark.parametrize(
    ("path", "status"), [("text", 200), ("text/versions/1", 200), ("text/versions/9", 404), ("no", 404)]
)
async def test_a_model_is_ready_or_not(client: httpx.AsyncClient, path: str, status: int) -> None:
    assert (await client.get(f"/v2/models/{path}/ready")).status_code == status


async def test_the_repository_lists_versions(client: httpx.AsyncClient) -> None:
    for body in (b"", b'{"ready": true}'):
        found = (await client.post("/v2/repository/index", content=body)).json()

        assert {(one["name"], one["version"], one["state"]) for one in found} == {
            (name, "1", "READY") for name in ("text", "shop-user", "shop-item")
        }


@pytest.mark.parametrize("path", ["text", "text/versions/1"])
async def test_texts_give_vectors(client: httpx.AsyncClient, path: str) -> None:
    ask = {"id": "7", "inputs": [tensor("text", "BYTES", TEXTS)]}
    body = (await client.post(f"/v2/models/{path}/infer", json=ask)).json()
    [output] = body["outputs"]

    assert (body["model_name"], body["model_version"], body["id"]) == ("text", "1", "7")
    assert body["parameters"]["space"].startswith("sp_")
    vectors = np.reshape(output["data"], output["shape"])
    np.testing.assert_allclose(vectors, await encoded(client, inputs=TEXTS), atol=1e-6)


async def test_binary_goes_both_ways(client: httpx.AsyncClient) -> None:
    block = b"".join(struct.pack("<I", len(text)) + text.encode() for text in TEXTS)
    spec = {"name": "text", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(block)}}
    head = json.dumps({"inputs": [spec], "parameters": {"binary_data_output": True}}).encode()
    headers = {LENGTH: str(len(head)), "Content-Type": "application/octet-stream"}

    answer = await client.post("/v2/models/text/infer", content=head + block, headers=headers)

    length = int(answer.headers[LENGTH])
    [output] = json.loads(answer.content[:length])["outputs"]
    vectors = np.frombuffer(answer.content[length:], "<f4").reshape(output["shape"])
    assert output["parameters"]["binary_data_size"] == len(answer.content) - length
    np.testing.assert_allclose(vectors, await encoded(client, inputs=TEXTS), atol=1e-6)


async def test_features_are_one_tensor_each(client: httpx.AsyncClient) -> None:
    """An empty string is a missing value, and pads a history; times are a tensor beside it."""
    inputs = [
        tensor("history", "BYTES", ["A1", "B1", "C2", ""], [2, 2]),
        tensor("history.time", "FP64", [[1.69e9, 1.6e9], [1.6e9, 0.0]], [2, 2]),
        tensor("country", "BYTES", ["GB", ""]),
    ]
    ask = {"inputs": inputs, "parameters": {"now": tiny.NOW}}
    body = (await client.post("/v2/models/shop-user/infer", json=ask)).json()
    users = [
        {"history": [{"id": "A1", "time": 1.69e9}, {"id": "B1", "time": 1.6e9}], "country": "GB"},
        {"history": [{"id": "C2", "time": 1.6e9}]},
    ]

    expected = await encoded(client, model="shop-user", inputs=users, now=tiny.NOW)
    np.testing.assert_allclose(np.reshape(body["outputs"][0]["data"], (2, -1)), expected, atol=1e-5)


async def test_missing_numbers_are_nan(client: httpx.AsyncClient) -> None:
    price = np.array([2.5, np.nan]).tobytes()
    spec = {"name": "price", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": 16}}
    head = json.dumps({"inputs": [tensor("id", "BYTES", ["A1", "A1"]), spec]}).encode()
    answer = await client.post(
        "/v2/models/shop-item/infer", content=head + price, headers={LENGTH: str(len(head))}
    )

    items = [{"id": "A1", "price": 2.5}, {"id": "A1"}]
    expected = await encoded(client, model="shop-item", inputs=items)
    np.testing.assert_allclose(np.reshape(answer.json()["outputs"][0]["data"], (2, -1)), expected, atol=1e-5)


@pytest.mark.parametrize("missing", ["null", "NaN"])
async def test_missing_values_may_stand_in_json(client: httpx.AsyncClient, missing: str) -> None:
    """Strings as well as numbers; they are what is left out of an object."""
    body = json.dumps(
        {
            "inputs": [
                tensor("id", "BYTES", ["A1", "A1"]),
                tensor("title", "BYTES", ["red lamp", None]),
                tensor("price", "FP32", [2.5, "MISSING"]),
            ]
        }
    ).replace('"MISSING"', missing)
    answer = await client.post("/v2/models/shop-item/infer", content=body)

    items = [{"id": "A1", "title": "red lamp", "price": 2.5}, {"id": "A1"}]
    expected = await encoded(client, model="shop-item", inputs=items)
    np.testing.assert_allclose(np.reshape(answer.json()["outputs"][0]["data"], (2, -1)), expected, atol=1e-5)


async def test_times_may_be_missing_in_json_as_in_binary(client: httpx.AsyncClient) -> None:
    inputs = [
        tensor("history", "BYTES", ["A1", "B1", "C2", None], [2, 2]),
        tensor("history.time", "FP64", [[1.69e9, None], [1.6e9, None]], [2, 2]),
    ]
    ask = {"inputs": inputs, "parameters": {"now": tiny.NOW}}
    body = (await client.post("/v2/models/shop-user/infer", json=ask)).json()

    users = [{"history": [{"id": "A1", "time": 1.69e9}, "B1"]}, {"history": [{"id": "C2", "time": 1.6e9}]}]
    expected = await encoded(client, model="shop-user", inputs=users, now=tiny.NOW)
    np.testing.assert_allclose(np.reshape(body["outputs"][0]["data"], (2, -1)), expected, atol=1e-5)


async def test_times_need_what_they_are_of(client: httpx.AsyncClient) -> None:
    """Before, a slip in the name left them out in silence."""
    inputs = [
        tensor("history", "BYTES", ["A1"], [1, 1]),
        tensor("histroy.time", "FP64", [1.69e9], [1, 1]),
    ]
    answer = await client.post("/v2/models/shop-user/infer", json={"inputs": inputs})

    assert answer.status_code == 400
    assert "needs the tensor NAME" in answer.json()["error"]


GOOD = tensor("text", "BYTES", TEXTS)
NULLS: list[dict[str, Any]] = [
    {"id": None, "parameters": None, "outputs": None},
    {"inputs": [GOOD | {"parameters": None}]},
    {"inputs": [GOOD | {"parameters": {"binary_data_size": None, "content_type": None}}]},
    {"outputs": [{"name": "embedding", "parameters": None}]},
    {"outputs": [{"name": "embedding", "parameters": {"binary_data": None, "classification": None}}]},
    {"parameters": dict.fromkeys(["truncate", "dimensions", "prompt", "space", "now", "binary_data_output"])},
]


@pytest.mark.parametrize("nulls", NULLS)
async def test_null_is_a_field_that_is_left_out(client: httpx.AsyncClient, nulls: dict[str, Any]) -> None:
    answer = await client.post("/v2/models/text/infer", json={"inputs": [GOOD]} | nulls)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert "id" not in answer.json()
    assert (await client.post("/v2/repository/index", json={"ready": None})).status_code == 200


@pytest.mark.parametrize(
    "nulls", [{"inputs": None}, {"inputs": [GOOD | {"shape": None}]}, {"inputs": [None]}]
)
async def test_null_is_no_field_that_must_be_there(client: httpx.AsyncClient, nulls: dict[str, Any]) -> None:
    answer = await client.post("/v2/models/text/infer", json=nulls)

    assert answer.status_code == 400
    assert "inputs" in answer.json()["error"]


async def test_one_output_may_be_asked_for_more_than_once(client: httpx.AsyncClient) -> None:
    """As the others let it; the last word on its form holds."""
    outputs = [{"name": "embedding", "parameters": {"binary_data": value}} for value in (True, False)]
    answers = [
        await client.post("/v2/models/text/infer", json={"inputs": [GOOD], "outputs": list(asked)})
        for asked in (outputs, reversed(outputs))
    ]

    assert [LENGTH in answer.headers for answer in answers] == [False, True]


WRONG = [
    {"inputs": []},
    {"inputs": [{**GOOD, "shape": [3]}]},
    {"inputs": [{**GOOD, "shape": [-1]}]},
    {"inputs": [{**GOOD, "shape": [10**12, 0], "data": []}]},
    {"inputs": [{**GOOD, "datatype": "STRING"}]},
    {"inputs": [{**GOOD, "datatype": "INT32"}]},
    {"inputs": [{**GOOD, "name": "texts"}]},
    {"inputs": [GOOD, GOOD]},
    {"inputs": [{**GOOD, "parameters": {"binary_data_size": 5}}]},
    {"inputs": [{**GOOD, "parameters": {"binary_data_size": -1}}]},
    {"inputs": [{**GOOD, "data": [[["hello"]], "a"]}]},
    {"inputs": [GOOD], "outputs": [{"name": "vector"}]},
    {"inputs": [GOOD], "outputs": [{}]},
    {"inputs": [GOOD], "outputs": [{"name": None}]},
    {"inputs": [GOOD], "outputs": [{"parameters": {"binary_data": False}}]},
    {"inputs": [{**GOOD, "parameters": {"content_type": 5}}]},
    {"inputs": [{**GOOD, "parameters": {"content_type": ["base64"]}}]},
    {"inputs": [GOOD], "outputs": [{"name": "embedding"}, {"name": "vector"}]},
    {"inputs": [GOOD], "outputs": [{"name": "embedding", "parameters": {"binary_data": "yes"}}]},
    {"inputs": [GOOD], "outputs": [{"name": "embedding", "parameters": {"binary_data": 1}}]},
    {"inputs": [GOOD | {"shape": [1, 2]}]},
    {"inputs": [GOOD], "parameters": {"truncate": "middle"}},
]


@pytest.mark.parametrize("body", WRONG)
async def test_a_wrong_tensor_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await client.post("/v2/models/text/infer", json=body)

    assert answer.status_code == 400
    assert answer.json().keys() == {"error"}


@pytest.mark.parametrize("length", ["x", "-1", "99999", "9" * 30])
async def test_a_wrong_length_of_the_header_is_refused(client: httpx.AsyncClient, length: str) -> None:
    answer = await client.post("/v2/models/text/infer", json={"inputs": [GOOD]}, headers={LENGTH: length})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/v2/models/stats", "no statistics"),
        ("GET", "/v2/models/text/stats", "no statistics"),
        ("GET", "/v2/models/text/versions/1/stats", "no statistics"),
        ("GET", "/v2/logging", "no setting of a running server"),
        ("POST", "/v2/logging", "no setting of a running server"),
        ("GET", "/v2/trace/setting", "no setting of a running server"),
        ("POST", "/v2/models/text/trace/setting", "no setting of a running server"),
        ("GET", "/v2/systemsharedmemory/status", "no memory is shared"),
        ("GET", "/v2/systemsharedmemory/region/a/status", "no memory is shared"),
        ("POST", "/v2/cudasharedmemory/region/a/register", "no memory is shared"),
        ("POST", "/v2/cudasharedmemory/unregister", "no memory is shared"),
    ],
)
async def test_what_is_not_had_of_tritons_extensions_is_told_as_such(
    client: httpx.AsyncClient, method: str, path: str, told: str
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 404
    assert told in answer.json()["error"]


@pytest.mark.parametrize(
    "parameters", [{"x": {"y": 1}}, {"priority": "high"}, {"timeout": "soon"}, {"headers": {"a": "b"}}]
)
async def test_a_parameter_that_nobody_reads_changes_nothing(
    client: httpx.AsyncClient, parameters: dict[str, Any]
) -> None:
    answer = await client.post("/v2/models/text/infer", json={"inputs": [GOOD], "parameters": parameters})

    assert answer.status_code == 200, answer.text


async def test_a_model_may_be_called_stats(serving: Any, registry: Any) -> None:
    async with serving(registry, model_aliases={"stats": "text"}) as client:
        answer = await client.get("/v2/models/stats")

    assert (answer.status_code, answer.json()["name"]) == (200, "stats")
