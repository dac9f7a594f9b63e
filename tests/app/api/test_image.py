"""Pictures over HTTP: in every form, told what was done to them, and ranked for a text."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pictures
import pytest
import tiny

from app.engine import load_registry
from bundle import IntegrityError, Manifest, Store, publish
from bundle.manifest import Joined
from bundle.preprocess.image import Image

FILES = [
    pictures.file_of(pictures.noise(seed, 20, 20), kind) for seed, kind in enumerate(("PNG", "JPEG", "WEBP"))
]
CLOSE = 1e-5


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text`, and `image`, which joined its space."""
    root = tmp_path_factory.mktemp("models")
    (text,) = publish(root, [tiny.text_draft()])
    publish(root, [tiny.image_draft(joins=joined(text))])
    return root


def joined(text: Manifest) -> Joined:
    return Joined(name=text.name, version=text.version, space=text.space)


@pytest.fixture
async def client(models: Path, serving: Callable[..., Any]) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(load_registry(Store(models), versions_per_model=1)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(models: Path) -> np.ndarray:
    return Store(models).load("image").encode([Image.from_bytes(content) for content in FILES])


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def test_pictures_are_encoded_from_json_bodies_forms_and_lines(
    client: httpx.AsyncClient, expected: np.ndarray
) -> None:
    texts = [base64_of(content) for content in FILES]
    lines = "".join(json.dumps({"image": text}) + "\n" for text in texts)
    answers = [
        await client.post("/encode", json={"model": "image", "inputs": [{"image": one} for one in texts]}),
        await client.post("/encode", json={"model": "image", "inputs": texts}),
        await client.post(
            "/encode?model=image",
            files=[("inputs", (f"{n}", one, "image/png")) for n, one in enumerate(FILES)],
        ),
    ]
    body = await client.post("/encode?model=image", content=FILES[1], headers={"Content-Type": "image/jpeg"})
    stream = await client.post(
        "/encode?model=image", content=lines, headers={"Content-Type": "application/x-ndjson"}
    )

    for answer in answers:
        np.testing.assert_allclose(answer.json()["embeddings"], expected, atol=CLOSE)
    np.testing.assert_allclose(body.json()["embeddings"], expected[1:2], atol=CLOSE)
    streamed = [json.loads(line)["embedding"] for line in stream.text.splitlines()[:-1]]
    np.testing.assert_allclose(streamed, expected, atol=CLOSE)


async def test_what_was_done_is_told(client: httpx.AsyncClient) -> None:
    wide = pictures.file_of(pictures.drawing(40, 20, "RGBA"))
    answer = await client.post("/encode", json={"model": "image", "inputs": [base64_of(wide)]})

    assert answer.json()["warnings"] == [{"index": 0, "cropped": [40, 20]}]


BAD: list[tuple[Any, str]] = [
    ("https://shop.example/lamp.jpg", "address"),
    ({"image": "http://169.254.169.254/"}, "address"),
    ("hello", "wrong_kind"),
    ({"text": "hello"}, "wrong_kind"),
    (7, "wrong_kind"),
    (base64_of(b"hello world"), "invalid_picture"),
    (base64_of(FILES[0][:60]), "invalid_picture"),
    (base64_of(pictures.png(3000, 3000, b"")), "too_large"),
]


@pytest.mark.parametrize(("value", "code"), BAD)
async def test_what_is_no_picture_is_refused_by_its_place(
    client: httpx.AsyncClient, value: Any, code: str
) -> None:
    answer = await client.post("/encode", json={"model": "image", "inputs": [base64_of(FILES[0]), value]})
    error = answer.json()["error"]

    assert (answer.status_code, error["code"], error["param"]) == (422, code, "inputs[1]")
    assert not isinstance(value, str) or value not in error["message"]


async def test_pictures_of_a_request_are_bounded_together(models: Path, serving: Callable[..., Any]) -> None:
    registry = load_registry(Store(models), versions_per_model=1)
    async with serving(registry, max_image_pixels_per_request=900) as client:
        answer = await client.post(
            "/encode", json={"model": "image", "inputs": [base64_of(one) for one in FILES]}
        )

    assert answer.status_code == 422
    assert "1200 pixels together, the limit is 900 (ENCODERY_MAX_IMAGE_PIXELS_PER_REQUEST)" in answer.text


async def test_a_picture_is_no_text(client: httpx.AsyncClient) -> None:
    uri = f"data:image/png;base64,{base64_of(FILES[0])}"
    for value in (uri, {"image": uri}):
        answer = await client.post("/encode", json={"model": "text", "inputs": value})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_kind")


async def test_pictures_are_ranked_for_a_text(
    client: httpx.AsyncClient, models: Path, expected: np.ndarray
) -> None:
    """And the space is the text's own, so that an index of texts takes pictures."""
    candidates = [{"image": base64_of(content)} for content in FILES]
    answer = await client.post(
        "/score",
        json={"model": "text", "query": "a red lamp", "candidates": candidates, "candidates_model": "image"},
    )
    space = Store(models).manifest("text", "1").space
    encoded = await client.post("/encode", json={"model": "image", "inputs": candidates, "space": space})

    query = Store(models).load("text").encode([tiny.Text("a red lamp")])[0]
    scores = {one["index"]: one["score"] for one in answer.json()["results"]}
    np.testing.assert_allclose([scores[row] for row in range(3)], expected @ query, atol=CLOSE)
    assert answer.json()["space"] == encoded.json()["space"] == space


def test_joining_changes_nothing_of_who_is_joined(models: Path, tmp_path: Path) -> None:
    (alone,) = publish(tmp_path, [tiny.text_draft()])

    assert Store(models).manifest("text", "1").digest == alone.digest


def test_an_encoder_that_joined_another_one_of_that_name_is_refused(tmp_path: Path) -> None:
    (text,) = publish(tmp_path / "here", [tiny.text_draft()])
    publish(tmp_path / "there", [tiny.text_draft(seed=1)])
    publish(tmp_path / "there", [tiny.image_draft(joins=joined(text))])

    with pytest.raises(IntegrityError, match="joins the space of text/1, and that is another encoder here"):
        Store(tmp_path / "there").load("image")


def test_an_encoder_is_loaded_without_the_one_that_it_joined(tmp_path: Path) -> None:
    (text,) = publish(tmp_path / "here", [tiny.text_draft()])
    publish(tmp_path / "there", [tiny.image_draft(joins=joined(text))])

    assert Store(tmp_path / "there").load("image").manifest.joins == joined(text)


@pytest.mark.parametrize("space", ["", "sp_", "text"])
def test_without_the_digest_of_a_space_none_is_joined(space: str) -> None:
    with pytest.raises(ValueError, match="space"):
        Joined(name="text", version="1", space=space)
