"""What is no text, sent where texts are read: refused or told, never a vector in silence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
DATA_URIS = [
    f"data:image/png;base64,{PNG}",
    f"  DATA:Audio/WAV;foo=b c;BASE64,{PNG}",
    "data:text/html,<b>hello</b>",
    f"data:;base64,{PNG}",
]
ADDRESSES = ["https://a.example/lamp.JPG?w=2#top", "file:///tmp/cat.wav", "s3://bucket/cat.mp4\n"]
SENTENCES = [
    "data: hello, world",
    "data:, hello",
    "see https://shop.example/lamp.jpg",
    "https://shop.example/lamp.html?picture=lamp.jpg",
    "https://example.mov",
]


class Route(NamedTuple):
    path: str
    body: Callable[[list[Any]], dict[str, Any]]
    place: str = "inputs[1]"


def tensor(texts: list[Any]) -> dict[str, Any]:
    return {"inputs": [{"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}]}


def parts(texts: list[Any]) -> dict[str, Any]:
    return {"inputs": [{"content": [{"type": "text", "text": text}]} for text in texts]}


ROUTES = [
    Route("/encode", lambda texts: {"inputs": texts}),
    Route("/v1/embeddings", lambda texts: {"input": texts}, "input[1]"),
    Route("/v2/embed", lambda texts: {"texts": texts}, "texts[1]"),
    Route("/v1/embed", lambda texts: {"texts": texts}, "texts[1]"),
    Route("/v2/embed", parts, "input 1"),
    Route("/embed", lambda texts: {"inputs": texts}),
    Route("/", lambda texts: {"inputs": texts}),
    Route("/tokenize", lambda texts: {"inputs": texts}),
    Route("/api/embed", lambda texts: {"model": "text", "input": texts}, "input[1]"),
    Route("/v2/models/text/infer", tensor),
    Route("/score", lambda texts: {"query": texts[0], "candidates": texts}, "candidates[1]"),
    Route(
        "/similarity",
        lambda texts: {"inputs": {"source_sentence": "hello", "sentences": texts}},
        "inputs.sentences[1]",
    ),
]


@pytest.mark.parametrize("uri", DATA_URIS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_a_data_uri_is_refused_by_its_place(client: httpx.AsyncClient, route: Route, uri: str) -> None:
    answer = await client.post(route.path, json=route.body(["hello", uri]))

    assert answer.status_code in (400, 422)
    assert f"{route.place}: this model takes texts, this is a data URI" in answer.text
    assert PNG not in answer.text


async def test_a_data_uri_as_the_one_input_is_refused(client: httpx.AsyncClient) -> None:
    ollama = await client.post("/api/embeddings", json={"model": "text", "prompt": DATA_URIS[0]})
    ours = await client.post("/encode", json={"inputs": DATA_URIS[0], "truncate": "end"})

    assert (ollama.status_code, ours.status_code) == (400, 422)
    assert ours.json()["error"]["code"] == "wrong_kind"


async def test_a_line_that_is_a_data_uri_fails_alone(client: httpx.AsyncClient) -> None:
    lines = f'"hello"\n"{DATA_URIS[0]}"\n"world"\n'
    answer = await client.post("/encode", content=lines, headers={"Content-Type": "application/x-ndjson"})

    first, bad, last, _ = [httpx.Response(200, text=line).json() for line in answer.text.splitlines()]
    assert "embedding" in first
    assert bad["error"]["code"] == "wrong_kind"
    assert "embedding" in last


@pytest.mark.parametrize("address", ADDRESSES)
async def test_the_address_of_a_picture_or_a_sound_is_encoded_and_told(
    client: httpx.AsyncClient, address: str
) -> None:
    answer = await client.post("/encode", json={"inputs": ["hello", address], "truncate": "end"})

    assert answer.status_code == 200
    (warning,) = answer.json()["warnings"]
    assert (warning["index"], warning["media_address"]) == (1, True)


@pytest.mark.parametrize("text", SENTENCES)
async def test_a_sentence_that_speaks_of_one_is_a_text(client: httpx.AsyncClient, text: str) -> None:
    answer = await client.post("/encode", json={"inputs": text, "truncate": "end"})

    assert answer.status_code == 200
    assert not any("media_address" in warning for warning in answer.json()["warnings"])


async def test_cohere_tells_of_addresses_in_its_own_warnings(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v2/embed", json={"texts": [*ADDRESSES, "hello"]})

    *_, warning = answer.json()["meta"]["warnings"]
    assert warning.startswith("3 of the texts are addresses of pictures, sounds or films")


SHAPES: dict[str, Any] = {
    "Jina": {"image": "https://shop.example/lamp.jpg"},
    "OpenAI": {"type": "image_url", "image_url": {"url": DATA_URIS[0]}},
    "OpenAI, sound": {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
    "Voyage": {"content": [{"type": "image_base64", "image_base64": DATA_URIS[0]}]},
    "bytes": {"bytes": PNG},
    "a text in an object": {"text": "hello"},
    "a list": ["hello", {"image": PNG}],
}
TEXT_ROUTES = [route for route in ROUTES if route.body not in (parts, tensor) and "score" not in route.path]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("route", TEXT_ROUTES, ids=lambda route: route.path)
async def test_a_multimodal_input_is_refused_with_what_the_model_takes(
    client: httpx.AsyncClient, route: Route, shape: Any
) -> None:
    answer = await client.post(route.path, json=route.body(["hello", shape]))

    assert answer.status_code in (400, 422)
    assert route.place in answer.text
    assert "string" in answer.text
    assert PNG not in answer.text


async def test_of_a_picture_the_error_says_what_the_model_takes(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": ["hello", SHAPES["Jina"]]})

    assert answer.json()["error"]["message"] == (
        "input[1]: expected a text, this is an object with a picture, a sound or a file; text takes texts, "
        "and this route strings only"
    )


@pytest.mark.parametrize(
    "part",
    [{"type": "image_url", "image_url": {"url": DATA_URIS[0]}}, {"type": "image", "image": DATA_URIS[0]}],
)
async def test_a_picture_beside_a_text_is_refused_by_the_place_of_both(
    client: httpx.AsyncClient, part: Any
) -> None:
    inputs = [
        {"content": [{"type": "text", "text": "hello"}]},
        {"content": [{"type": "text", "text": "a"}, part]},
    ]
    answer = await client.post("/v2/embed", json={"inputs": inputs})

    assert answer.status_code == 400
    assert answer.json()["message"].startswith("input 1: a vector is of one picture, sound or text")
    assert PNG not in answer.text


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": 7},
        {"type": "text"},
        "hello",
        None,
    ],
)
async def test_a_part_of_coheres_inputs_that_is_no_text_is_named(
    client: httpx.AsyncClient, part: Any
) -> None:
    inputs = [
        {"content": [{"type": "text", "text": "hello"}]},
        {"content": [{"type": "text", "text": "a"}, part]},
    ]
    answer = await client.post("/v2/embed", json={"inputs": inputs})

    assert answer.status_code == 400
    assert answer.json()["message"].startswith("input 1, part 1 of its content: ")
    assert PNG not in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/embed", {"texts": ["hello"], "images": [DATA_URIS[0]]}),
        ("/v2/embed", {"images": [DATA_URIS[0]]}),
        ("/v1/embeddings", {"input": "hello", "modality": "image"}),
        ("/api/embed", {"model": "text", "input": "hello", "images": [PNG]}),
        ("/api/embeddings", {"model": "text", "prompt": "hello", "images": [PNG]}),
        ("/v1/embeddings", {"messages": [{"role": "user", "content": [SHAPES["OpenAI"]]}]}),
    ],
)
async def test_a_field_for_pictures_is_refused_by_name(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await client.post(path, json=body)

    assert answer.status_code == 400
    assert "texts" in answer.text
    assert PNG not in answer.text
