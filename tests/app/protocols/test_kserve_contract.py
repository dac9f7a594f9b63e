"""The contract of the Open Inference Protocol, kind by kind: what Triton, KServe and MLServer were asked.

Each row is a request of our own, and what is to come of it. An answer of 200 has the form of the
specification, with vectors; every other is `{"error": "a sentence"}`, whatever went wrong and wherever.
replay/verdicts/kserve.toml says where and why the others answer otherwise.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
import tiny

TEXT, ITEM, USER = (f"/v2/models/{name}/infer" for name in ("text", "shop-item", "shop-user"))
LENGTH = "Inference-Header-Content-Length"
NAN, INFINITY = float("nan"), float("inf")


class Row(NamedTuple):
    """A request, and what comes of it.

    Attributes:
        rows: of the vectors, where it is answered with some.
        told: a part of the sentence, where it is refused.
    """

    kind: str
    content: Any
    rows: int = 0
    told: str = ""
    path: str = TEXT
    headers: Mapping[str, str] = MappingProxyType({})
    status: int = 400


def tensor(name: str, datatype: str, data: Any, shape: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "datatype": datatype,
        "shape": [len(data)] if shape is None else shape,
        "data": data,
    } | more


def text(data: Any = ("red", "a blue lamp"), shape: Any = None, **more: Any) -> dict[str, Any]:
    """A request for texts; `more` are fields of the tensor."""
    return {"inputs": [tensor("text", more.pop("datatype", "BYTES"), list(data), shape, **more)]}


def item(price: Any, datatype: str = "FP64", shape: Any = None) -> dict[str, Any]:
    """A request for two items."""
    return {
        "inputs": [tensor("id", "BYTES", ["A1", "B1"]), tensor("price", datatype, price, shape)],
    }


def strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(one)) + one for one in texts)


def binary(block: bytes, count: int = 2, name: str = "text", datatype: str = "BYTES", **more: Any) -> bytes:
    """The JSON and its one tensor in binary; `length` tells where the one ends."""
    spec = {"name": name, "datatype": datatype, "shape": [count]}
    size = {"binary_data_size": more.pop("size", len(block))}
    return json.dumps({"inputs": [spec | {"parameters": size}]} | more).encode() + block


def length(content: bytes, block: bytes) -> dict[str, str]:
    return {LENGTH: str(len(content) - len(block)), "Content-Type": "application/octet-stream"}


BLOCK = strings(b"red", b"a blue lamp")
BINARY = binary(BLOCK)
PRICES = struct.pack("<2d", 2.5, NAN)
PRICED = binary(PRICES, name="price", datatype="FP64")
INFINITE = binary(struct.pack("<2d", 2.5, INFINITY), name="price", datatype="FP64")

TAKEN = [
    Row("texts", text(), 2),
    Row("one text", text(["red"]), 1),
    Row("a version in the path", text(), 2, path="/v2/models/text/versions/1/infer"),
    Row("an id", text() | {"id": "x"}, 2),
    Row("an empty id", text() | {"id": ""}, 2),
    Row("null for an id", text() | {"id": None}, 2),
    Row("null for parameters and outputs", text() | {"parameters": None, "outputs": None}, 2),
    Row("no outputs", text() | {"outputs": []}, 2),
    Row("parameters of others", text() | {"parameters": {"priority": "low", "x": {"y": 1}}}, 2),
    Row("a codec's name", text(parameters={"content_type": "str"}), 2),
    Row("null for a tensor's parameters", text(parameters=None), 2),
    Row("an output twice", text() | {"outputs": [{"name": "embedding"}] * 2}, 2),
    Row("fields of others", text(extra=1) | {"extra": 1, "model_name": "other"}, 2),
    Row("a column", text(shape=[2, 1]), 2),
    Row("a nested column", text([["red"], ["blue"]], [2, 1]), 2),
    Row("nested deeper than its shape", text([[["red"]], [["blue"]]], [2]), 2),
    Row("base64", text(["cmVk"], parameters={"content_type": "base64"}), 1),
    Row("any text", text(["grüße 🙂 日本"," x "]), 2),
    Row("as text/plain", text(), 2, headers={"Content-Type": "text/plain"}),
    Row("with a charset", text(), 2, headers={"Content-Type": "application/json; charset=utf-8"}),
    Row("another type accepted", text(), 2, headers={"Accept": "application/xml"}),
    Row("a query", text(), 2, path=f"{TEXT}?x=1"),
    Row("gzip", gzip.compress(json.dumps(text()).encode()), 2, headers={"Content-Encoding": "gzip"}),
    Row("deflate", zlib.compress(json.dumps(text()).encode()), 2, headers={"Content-Encoding": "deflate"}),
    Row("binary", BINARY, 2, headers=length(BINARY, BLOCK)),
    Row("binary as JSON's type", BINARY, 2, headers={LENGTH: length(BINARY, BLOCK)[LENGTH]}),
    Row("NaN in binary", PRICED, 2, headers=length(PRICED, PRICES), path=ITEM),
    *(Row(f"numbers as {name}", item([1, 2], name), 2, path=ITEM) for name in ("FP64", "FP32", "FP16")),
    *(Row(f"numbers as {name}", item([1, 2], name), 2, path=ITEM) for name in ("INT64", "INT8", "UINT8")),
    Row("a missing number", item([1.5, None]), 2, path=ITEM),
    Row("NaN in JSON", item([1.5, NAN]), 2, path=ITEM),
    Row("a column of numbers", item([[1.5], [2.5]], shape=[2, 1]), 2, path=ITEM),
    Row("features left out", {"inputs": [tensor("price", "FP64", [1.5])]}, 1, path=ITEM),
    Row("an empty string", {"inputs": [tensor("id", "BYTES", ["A1", ""])]}, 2, path=ITEM),
    Row("ids that are numbers", {"inputs": [tensor("id", "INT64", [1, 2])]}, 2, path=ITEM),
    Row("lists", {"inputs": [tensor("history", "BYTES", ["A1", "B1", "C2", None], [2, 2])]}, 2, path=USER),
]  # fmt: skip

REFUSED = [
    Row("no model", text(), path="/v2/models/lamp/infer", status=404, told="no such model"),
    Row("no version", text(), path="/v2/models/text/versions/7/infer", status=404, told="not loaded"),
    Row("a slash behind", text(), path=f"{TEXT}/", status=404, told="/v2/models/{model}/infer?"),
    Row("no body", b"", told="not JSON"),
    Row("no JSON", b"{", told="not JSON"),
    Row("a list", [], told="a list"),
    Row("half a surrogate pair", b'{"inputs": "\\ud800"}', told="not JSON"),
    Row("another protocol", {"instances": ["red"]}, told='"inputs" is missing'),
    Row("an id that is a number", text() | {"id": 7}, told="id:"),
    Row("parameters that are a list", text() | {"parameters": [1]}, told="parameters: expected an object"),
    Row("a flag that is a string", text() | {"parameters": {"binary_data_output": "true"}}, told="boolean"),
    Row("an output of others", text() | {"outputs": [{"name": "logits"}]}, told="outputs[0].name: a model"),
    Row(
        "classes",
        text() | {"outputs": [{"name": "embedding", "parameters": {"classification": 3}}]},
        told="outputs[0].parameters.classification: a vector has no classes",
    ),
    Row("no tensors", {"inputs": []}, told="the list is empty"),
    Row("no list of tensors", {"inputs": {}}, told="inputs: Input should be a valid list"),
    Row("a tensor that is a string", {"inputs": ["red"]}, told="inputs[0]: expected an object"),
    *(
        Row(
            f"no {field}",
            {"inputs": [{k: v for k, v in text()["inputs"][0].items() if k != field}]},
            told=f'"inputs[0].{field}" is missing',
        )
        for field in ("name", "shape", "datatype", "data")
    ),
    Row("more than the data", text(shape=[5]), told="inputs[0].shape: the shape is of 5, the data of 2"),
    Row("less than the data", text(shape=[1]), told="inputs[0].shape"),
    Row("any length", text(shape=[-1]), told="inputs[0].shape: a length is negative"),
    Row("three axes", text(shape=[2, 1, 1]), told="inputs[0].shape: expected [n]"),
    Row("a row for a column", text(shape=[1, 2]), told="text is one text per input"),
    Row("a length that is a float", text(shape=[2.0]), told="inputs[0].shape[0]"),
    Row("an empty batch", text([]), told="inputs[0].shape: the batch is empty; send one input at least"),
    Row("an empty text", text(["red", ""]), told="inputs[1]: the text is empty"),
    Row("null for a text", text(["red", None]), told="inputs[1]"),
    Row("a number for a text", text(["red", 5]), told="inputs[0].data[1]: no BYTES"),
    Row("an object for a text", text([{"a": 1}]), told="inputs[0].data[0]: no BYTES"),
    Row("texts as numbers", text(datatype="FP32"), told="inputs[0].data[0]: no FP32"),
    Row("another name of a datatype", text(datatype="bytes"), told="inputs[0].datatype: expected one"),
    Row("no base64", text(["*"], parameters={"content_type": "base64"}), told="inputs[0].data[0]: no base64"),
    Row("too many", text(["red"] * 2049), told="the limit is 2048"),
    Row("another tensor", {"inputs": [tensor("TEXT", "BYTES", ["red"])]}, told="one tensor, named text"),
    Row("a tensor beside", {"inputs": text()["inputs"] + [tensor("x", "BYTES", ["red"])]}, told="one tensor"),
    Row("a tensor twice", {"inputs": text()["inputs"] * 2}, told="inputs[1].name: an earlier tensor"),
    Row("a fraction as INT64", item([1, 2.5], "INT64"), path=ITEM, told="inputs[1].data[1]: no INT64"),
    Row("1000 as INT8", item([1, 1000], "INT8"), path=ITEM, told="inputs[1].data[1]: no INT8"),
    Row("-1 as UINT8", item([-1, 2], "UINT8"), path=ITEM, told="inputs[1].data[0]: no UINT8"),
    Row("1e39 as FP32", item([1e39, 2], "FP32"), path=ITEM, told="inputs[1].data[0]: no FP32"),
    Row("null as INT64", item([1, None], "INT64"), path=ITEM, told="inputs[1].data[1]: no INT64"),
    Row("a string as FP64", item(["1.5", "2"]), path=ITEM, told="inputs[1].data[0]: no FP64"),
    Row("Infinity", item([1.5, INFINITY]), path=ITEM, told="not JSON"),
    Row("truth as a price", item([True, False], "BOOL"), path=ITEM, told="(row 0 of the tensor price)"),
    Row("BF16", item([1.5, 2.5], "BF16"), path=ITEM, told="inputs[1].datatype"),
    Row(
        "a feature of others",
        {"inputs": [tensor("colour", "BYTES", ["red"])]},
        path=ITEM,
        told="not one of this model's",
    ),
    Row("counts that differ", item([1.5]), path=ITEM, told="must be equal"),
    Row("binary without its header", BINARY, told="not JSON"),
    Row(
        "the same with its type",
        BINARY,
        headers={"Content-Type": "application/octet-stream"},
        told=f"{LENGTH} is missing",
    ),
    Row("bytes alone", BLOCK, headers={LENGTH: "0"}, told="a request of bytes alone is not read"),
    Row("no number", INFINITE, headers=length(INFINITE, PRICES), path=ITEM, told="row 1 of the tensor price"),
    *(
        Row(f"{size} as the length of the JSON", BINARY, headers={LENGTH: size}, told=LENGTH)
        for size in ("-1", "many", "99999")
    ),
    Row("more bytes than a tensor", BINARY + b"!", headers=length(BINARY, BLOCK), told="1 bytes follow"),
    Row(
        "fewer bytes than told",
        binary(BLOCK, size=99),
        headers=length(binary(BLOCK, size=99), BLOCK),
        told="inputs[0].parameters.binary_data_size: expected a whole number up to 22",
    ),
    Row("unknown compression", b"", headers={"Content-Encoding": "br"}, status=415, told="gzip or deflate"),
    Row("no gzip", b"{}", headers={"Content-Encoding": "gzip"}, told="cannot be read as that"),
    Row("a forged priority", text(), headers={"X-Priority": "high"}, told="X-Priority"),
]  # fmt: skip


async def ask(client: httpx.AsyncClient, row: Row) -> httpx.Response:
    content = row.content if isinstance(row.content, bytes) else json.dumps(row.content).encode()
    return await client.post(row.path, content=content, headers=row.headers)


def error_of(answer: httpx.Response) -> str:
    """The sentence, which is all that there is."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"error"}
    assert isinstance(answer.json()["error"], str)
    return answer.json()["error"]


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row.kind)
async def test_what_is_taken_is_answered_with_vectors(client: httpx.AsyncClient, row: Row) -> None:
    answer = await ask(client, row)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    [output] = body["outputs"]

    assert answer.headers["content-type"] == "application/json"
    assert (body["model_name"], body["model_version"]) == (row.path.split("/")[3], "1")
    assert (output["name"], output["datatype"]) == ("embedding", "FP32")
    assert output["shape"][0] == row.rows
    assert len(output["data"]) == row.rows * output["shape"][1]
    assert all(isinstance(value, float | int) for value in output["data"])
    assert ("id" in body) == (isinstance(row.content, dict) and row.content.get("id") is not None)
    assert all(isinstance(value, str | int) for value in body["parameters"].values())


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.kind)
async def test_what_is_refused_is_told_in_a_sentence(client: httpx.AsyncClient, row: Row) -> None:
    answer = await ask(client, row)

    assert row.told in error_of(answer)
    assert answer.status_code == row.status


PATHS = [
    "/v2/health/live", "/v2/health/ready", "/v2", "/v2/models", "/v2/models/text",
    "/v2/models/text/versions/1", "/v2/models/text/ready", "/v2/models/text/versions/1/ready",
    "/v2/models/text/config", "/v2/models/text/versions/1/config",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_told_of_server_and_models_is_json(client: httpx.AsyncClient, path: str) -> None:
    """HEAD as GET; any other method is refused in a sentence."""
    answer, head, post = [await client.request(method, path) for method in ("GET", "HEAD", "POST")]

    assert (answer.status_code, head.status_code, post.status_code) == (200, 200, 405)
    assert answer.headers["content-type"] == head.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)
    assert "GET" in error_of(post)


async def test_what_the_pipeline_refuses_is_told_in_a_sentence(serving, registry) -> None:
    """No key, a key that may not, a body over the limit, one of another page, too many headers."""
    key = "k" * 32
    bearer = {"Authorization": f"Bearer {key}"}
    async with serving(registry, api_key=key, max_body_bytes=1000) as client:
        anyone = await client.post(TEXT, json=text())
        unknown = await client.get("/v2/models/text/config")
        large = await client.post(TEXT, json=text(["red"] * 500), headers=bearer)
        bomb = await client.post(
            TEXT, content=gzip.compress(bytes(10**6)), headers=bearer | {"Content-Encoding": "gzip"}
        )
        foreign = await client.post(TEXT, content=b"{}", headers={"Origin": "http://else.test"})
        crowded = await client.get("/v2/models", headers={f"x-{count}": "" for count in range(70)})
        live = await client.get("/v2/health/live")

    statuses = [anyone, unknown, large, bomb, foreign, crowded, live]
    assert [one.status_code for one in statuses] == [401, 401, 413, 413, 403, 400, 200]
    assert all(error_of(one) for one in statuses[:-1])
    assert anyone.headers["www-authenticate"] == "Bearer"


async def test_the_vectors_are_those_of_encode(client: httpx.AsyncClient) -> None:
    """By whatever form they were asked for, in binary and in JSON."""
    texts = ["red", "a blue lamp"]
    expected = (await client.post("/encode", json={"inputs": texts})).json()["embeddings"]
    asked = json.loads(BINARY[: len(BINARY) - len(BLOCK)]) | {"parameters": {"binary_data_output": True}}
    head = json.dumps(asked).encode()

    answer = await client.post(TEXT, content=head + BLOCK, headers={LENGTH: str(len(head))})
    found = answer.content[int(answer.headers[LENGTH]) :]
    in_json = (await client.post(TEXT, json=text())).json()["outputs"][0]["data"]

    values = [value for row in expected for value in row]
    assert answer.headers["content-type"] == "application/octet-stream"
    assert struct.unpack(f"<{2 * tiny.DIM}f", found) == pytest.approx(values, abs=1e-6)
    assert in_json == pytest.approx(values, abs=1e-6)
