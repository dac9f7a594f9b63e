"""A kind of input that is known to tests only goes the whole way: the proof that a kind is one row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
import toy_kind
from onnx import TensorProto, helper
from toy_kind import MEDIA_TYPE, SIDE, picture

from app.api import bodies
from app.api.warnings import warning_model
from app.engine import load_registry
from app.main import create_app
from app.settings import Settings
from bundle import Store, publish
from encodery.bulk.command import Job, run
from encodery.bulk.errors import BulkError

GOOD = [picture(seed) for seed in range(3)]


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with toy_kind.known():
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published model of pictures, beside one of texts."""
    directory = tmp_path_factory.mktemp("models")
    weights = np.random.default_rng(0).standard_normal((SIDE * SIDE, tiny.DIM)).astype(np.float32)
    graph = tiny.graph_bytes(
        [helper.make_node("MatMul", ["cells", "weights"], ["vector"])],
        {"cells": (TensorProto.FLOAT, ["n", SIDE * SIDE])},
        {"weights": weights},
    )
    plain = {"normalized": False, "metric": "inner_product", "max_length": 1}
    draft = tiny.draft("picture", "picture", graph, b"{}", GOOD, **plain)
    publish(directory, [draft])
    publish(directory, [tiny.text_draft()])
    return directory


@pytest.fixture(scope="module")
def expected(models: Path) -> np.ndarray:
    return Store(models).load("picture").encode(GOOD)  # [3, dim]


@asynccontextmanager
async def serving(models: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    registry = load_registry(Store(models), versions_per_model=1)
    app = create_app(Settings(default_model="picture", threads=1, **settings), registry)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://encodery.test") as client,
    ):
        yield client


def vectors_of(response: httpx.Response) -> np.ndarray:
    assert response.status_code == 200, response.text
    return np.array(response.json()["embeddings"], np.float32)


async def test_it_is_served_from_json(models: Path, expected: np.ndarray) -> None:
    large = picture(9, 8, 12)
    async with serving(models) as client:
        alone = await client.post("/encode", json={"inputs": GOOD[0].to_json()})
        several = await client.post("/encode", json={"inputs": [one.to_json() for one in (*GOOD, large)]})

    np.testing.assert_allclose(vectors_of(alone)[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(vectors_of(several)[:3], expected, atol=1e-5)
    assert several.json()["warnings"] == [{"index": 3, "shrunk": [8, 12]}]


async def test_it_is_served_in_an_object_and_as_a_data_uri(models: Path, expected: np.ndarray) -> None:
    uris = [f"data:{MEDIA_TYPE};base64,{one.to_json()}" for one in GOOD]
    async with serving(models) as client:
        answer = await client.post("/encode", json={"inputs": [*uris, *({"picture": uri} for uri in uris)]})

    np.testing.assert_allclose(vectors_of(answer), [*expected, *expected], atol=1e-5)


async def test_it_is_served_from_bytes(models: Path, expected: np.ndarray) -> None:
    async with serving(models) as client:
        answer = await client.post(
            "/encode?dimensions=4", content=GOOD[1].to_bytes(), headers={"Content-Type": MEDIA_TYPE}
        )

    np.testing.assert_allclose(vectors_of(answer)[0], expected[1, :4], atol=1e-5)
    assert answer.json()["dim"] == 4


async def test_several_are_served_from_a_form(models: Path, expected: np.ndarray) -> None:
    files = [("inputs", (f"{number}.pgm", one.to_bytes(), MEDIA_TYPE)) for number, one in enumerate(GOOD)]
    async with serving(models) as client:
        answer = await client.post("/encode", files=files, data={"model": "picture", "dimensions": "4"})

    np.testing.assert_allclose(vectors_of(answer), expected[:, :4], atol=1e-5)


BYTES = {"Content-Type": MEDIA_TYPE}
FORM = {"Content-Type": "multipart/form-data; boundary=y"}
BAD = ("a", b"P5", MEDIA_TYPE)
WRONG: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"content": b"P5 2 2 255\nxxxx", "headers": BYTES}, 422, "invalid_picture", "inputs[0]"),
    ({"content": b"", "headers": BYTES}, 422, "invalid_picture", "inputs[0]"),
    ({"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "unsupported_media_type", None),
    ({"content": b"x" * 9000, "headers": BYTES}, 413, "body_too_large", None),
    ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "invalid_multipart", None),
    ({"content": b"x", "headers": FORM}, 400, "invalid_multipart", None),
    ({"content": b"--y--\r\n", "headers": FORM}, 422, "empty_inputs", "inputs"),
    ({"files": {"inputs": BAD}}, 422, "invalid_picture", "inputs[0]"),
    ({"files": {"inputs": ("a", b"P5", "image/png")}}, 415, "unsupported_media_type", None),
    ({"files": {"picture": BAD}}, 422, "invalid_multipart", "inputs"),
    ({"files": {"inputs": (None, b"P5")}}, 422, "invalid_multipart", "inputs"),
    ({"files": [("inputs", BAD)] * 3}, 400, "invalid_multipart", None),
    ({"files": {"inputs": BAD}, "data": {"modle": "picture"}}, 422, "unknown_field", None),
    ({"json": {"inputs": "no base64"}}, 422, "wrong_kind", "inputs[0]"),
    ({"json": {"inputs": ["P5", {"picture": 7}]}}, 422, "wrong_kind", "inputs[0]"),
    ({"json": {"inputs": {"picture": ""}}}, 422, "empty_input", "inputs[0]"),
    ({"json": {"inputs": {"picture": "P5", "text": ""}}}, 422, "wrong_kind", "inputs[0]"),
    ({"json": {"inputs": "https://shop.example/a.pgm"}}, 422, "address", "inputs[0]"),
    ({"json": {"inputs": {"picture": "file:///etc/hosts"}}}, 422, "address", "inputs[0]"),
    ({"json": {"inputs": "data:image/png,P5"}}, 422, "wrong_kind", "inputs[0]"),
    ({"json": {"inputs": [GOOD[0].to_json(), {}]}}, 422, "wrong_kind", "inputs[1]"),
    ({"json": {"inputs": picture(0, 65, 64).to_json()}}, 422, "too_large", "inputs[0]"),
]


@pytest.mark.parametrize(("request_", "status", "code", "param"), WRONG)
async def test_what_is_wrong_is_refused_and_named(
    models: Path, request_: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    async with serving(models, max_items=2, max_media_body_bytes=8192) as client:
        answer = await client.post("/encode", **request_)

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


async def test_a_limit_of_the_kind_is_named_with_its_unit_and_setting(models: Path) -> None:
    async with serving(models) as client:
        answer = await client.post("/encode", json={"inputs": picture(0, 65, 64).to_json()})

    assert "4160 pixels, the limit is 4096 (ENCODERY_MAX_PICTURE_PIXELS)" in answer.text


async def test_a_model_of_another_kind_takes_no_pictures(models: Path) -> None:
    """And says what it takes, before it has read the body."""
    async with serving(models) as client:
        answer = await client.post(
            "/encode?model=text", content=GOOD[0].to_bytes(), headers={"Content-Type": MEDIA_TYPE}
        )

    assert answer.status_code == 415
    assert MEDIA_TYPE not in answer.text
    assert "application/json" in answer.text


async def test_it_is_streamed_as_ndjson(models: Path, expected: np.ndarray) -> None:
    lines = [json.dumps(GOOD[0].to_json()), '"no picture"', json.dumps(picture(9, 8, 8).to_json())]
    async with serving(models) as client:
        answer = await client.post(
            "/encode", content="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
        )

    first, second, third, last = map(json.loads, answer.text.splitlines())
    np.testing.assert_allclose(first["embedding"], expected[0], atol=1e-5)
    assert second["error"]["code"] == "wrong_kind"
    assert third["shrunk"] == [8, 8]
    assert last == {"done": True, "lines": 3}


async def test_it_is_ranked(models: Path, expected: np.ndarray) -> None:
    async with serving(models) as client:
        candidates = [one.to_json() for one in GOOD]
        answer = await client.post("/score", json={"query": GOOD[0].to_json(), "candidates": candidates})

    best = int((expected @ expected[0]).argmax())
    assert answer.json()["results"][0]["index"] == best


async def test_it_is_described(models: Path) -> None:
    async with serving(models) as client:
        schema = (await client.get("/models/picture/schema")).json()
        metadata = (await client.get("/v2/models/picture")).json()

    assert schema["contentMediaType"] == MEDIA_TYPE
    assert schema["examples"] == [one.to_json() for one in GOOD]
    assert metadata["inputs"] == [{"name": "picture", "datatype": "BYTES", "shape": [-1]}]
    assert {MEDIA_TYPE, "multipart/form-data", "image/jpeg"} <= set(bodies.documented())
    assert "shrunk" in warning_model("Warning", "", {}).model_json_schema()["properties"]


async def test_it_is_asked_through_kserve(models: Path, expected: np.ndarray) -> None:
    data = [one.to_json() for one in GOOD]
    tensor = {"name": "picture", "shape": [3], "datatype": "BYTES", "data": data}
    async with serving(models) as client:
        answer = await client.post("/v2/models/picture/infer", json={"inputs": [tensor]})
        wrong = await client.post("/v2/models/picture/infer", json={"inputs": [{**tensor, "name": "text"}]})

    [output] = answer.json()["outputs"]
    np.testing.assert_allclose(np.array(output["data"]).reshape(3, -1), expected, atol=1e-5)
    assert wrong.status_code == 400
    assert "picture, BYTES [n]" in wrong.json()["error"]


@pytest.mark.parametrize("column", [None, "photo"])
def test_it_is_encoded_in_bulk(
    models: Path, expected: np.ndarray, tmp_path: Path, column: str | None
) -> None:
    """From data URIs, paths beside the table, and objects as datasets have them."""
    (tmp_path / "lamp.pgm").write_bytes(GOOD[1].to_bytes())
    (tmp_path / "cup.pgm").write_bytes(GOOD[2].to_bytes())
    uri = f"data:{MEDIA_TYPE};base64,{GOOD[0].to_json()}"
    values = [uri, "lamp.pgm", {"bytes": None, "path": "cup.pgm"}, "missing.pgm", "."]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.npy"
    source.write_text("".join(json.dumps({column or "picture": value}) + "\n" for value in values))

    summary = run(Job(source, out, "picture", None, models, url=None, column=column))

    assert (summary.rows, summary.bad) == (3, 2)
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)
    reasons = [json.loads(line)["reason"] for line in Path(f"{out}.bad.jsonl").read_text().splitlines()]
    assert reasons[0].startswith("the file cannot be read: ")


def test_bytes_of_parquet_are_encoded_in_bulk(models: Path, expected: np.ndarray, tmp_path: Path) -> None:
    source, out = tmp_path / "in.parquet", tmp_path / "out.npy"
    contents = [*(one.to_bytes() for one in GOOD), b"no picture"]
    pq.write_table(pa.table({"picture": contents}), source)

    summary = run(Job(source, out, "picture", None, models, url=None))

    assert (summary.rows, summary.bad) == (3, 1)
    np.testing.assert_allclose(np.load(out), expected, atol=1e-5)
    assert "10 bytes" in Path(f"{out}.bad.jsonl").read_text()


def test_a_folder_is_encoded_in_bulk(models: Path, expected: np.ndarray, tmp_path: Path) -> None:
    """What is hidden is left out; what is no picture is a bad row."""
    folder, out = tmp_path / "photos", tmp_path / "out.jsonl"
    (folder / "more").mkdir(parents=True)
    for name, content in {
        "b.pgm": GOOD[1].to_bytes(),
        "a.pgm": GOOD[0].to_bytes(),
        "more/c.pgm": GOOD[2].to_bytes(),
        "notes.txt": b"notes",
        ".hidden": b"",
    }.items():
        (folder / name).write_bytes(content)

    summary = run(Job(folder, out, "picture", None, models, url=None))
    rows = [json.loads(line) for line in out.read_text().splitlines()]

    assert (summary.rows, summary.bad) == (3, 1)
    assert [row["path"] for row in rows] == ["a.pgm", "b.pgm", "more/c.pgm"]
    np.testing.assert_allclose([row["embedding"] for row in rows], expected, atol=1e-5)


def test_a_folder_for_a_model_of_texts_is_refused(models: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    with pytest.raises(BulkError, match="is a folder, and text takes texts"):
        run(Job(tmp_path, tmp_path.parent / "out.npy", "text", None, models, url=None))
