"""What is wrong is named as the caller named it, on every protocol."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest

SPACE = {"X-Expected-Space": "sp_other"}
CASES: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"input": "hello", "model": "text/9"}, {}, "model"),
    ({"input": "hello", "model": "text:9"}, {}, "model"),
    ({"input": "hello"}, SPACE, "X-Expected-Space"),
    ({"input": "hello", "dimensions": 7}, {}, "dimensions"),
    ({"input": "hello", "output_dimension": 7}, {}, "output_dimension"),
    ({"input": "hello", "dimensions": 0, "output_dimension": 7}, {}, "output_dimension"),
    ({"input": []}, {}, "input"),
    ({"input": "the " * 30}, {}, "input[0]"),
    ({"input": ["hello", " "]}, {}, "input[1]"),
    ({"input": ["hello", 5]}, {}, "input[1]"),
    *(({"input": value}, {}, "input") for value in (5, 5.5, True, None, {"text": "hello"})),
]


@pytest.mark.parametrize(("body", "headers", "param"), CASES)
async def test_openai_names_the_field_that_was_sent(
    client: httpx.AsyncClient, body: dict[str, Any], headers: dict[str, str], param: str
) -> None:
    answer = await client.post("/v1/embeddings", json=body, headers=headers)

    assert answer.status_code in (400, 404, 412)
    assert answer.json()["error"]["param"] == param


BARE = {
    "/v1/embeddings": ("input", {}),
    "/embed": ("inputs", {}),
    "/tokenize": ("inputs", {}),
    "/api/embed": ("input", {"model": "text"}),
}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (5, "a number"),
        (True, "a boolean"),
        ({"a": "b"}, "an object"),
    ],
)
@pytest.mark.parametrize("path", BARE)
async def test_what_is_neither_a_text_nor_a_list_is_called_what_it_is(
    client: httpx.AsyncClient, path: str, value: Any, said: str
) -> None:
    """A bare number is not the token ids of a text."""
    field, rest = BARE[path]
    answer = await client.post(path, json={**rest, field: value})

    assert f"{field}: expected a text or a list of texts, this is {said}" in answer.text
    assert "token ids" not in answer.text


@pytest.mark.parametrize("path", BARE)
async def test_a_picture_without_a_list_is_an_input_that_a_text_model_does_not_take(
    client: httpx.AsyncClient, path: str
) -> None:
    field, rest = BARE[path]
    answer = await client.post(path, json={**rest, field: {"image": "b"}})

    assert f"{field}[0]: expected a text, this is an object with a picture" in answer.text
    assert "text takes texts" in answer.text


@pytest.mark.parametrize(
    ("path", "body"), [("/similarity", {"inputs": 5}), ("/v2/models/text/infer", {"inputs": 5})]
)
async def test_a_field_is_named_once(client: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await client.post(path, json=body)

    assert "inputs: " in answer.text
    assert "inputs: inputs" not in answer.text


async def test_cohere_names_the_form_in_which_its_texts_came(client: httpx.AsyncClient) -> None:
    part = {"content": [{"type": "text", "text": " "}]}
    parts = await client.post("/v2/embed", json={"model": "text", "inputs": [part]})
    texts = await client.post("/v2/embed", json={"model": "text", "texts": ["hello", " "]})

    assert parts.json()["message"].startswith("input 0: the text is empty")
    assert texts.json()["message"].startswith("texts[1]: the text is empty")


WRONG: list[Any] = [
    5,
    -1,
    1.5,
    True,
    None,
    "c4n4ry",
    [],
    ["c4n4ry"],
    [[5]],
    {},
    {"c4n4ry": [5]},
    [{"c4n4ry": 5}],
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
async def test_no_message_has_a_name_of_ours(client: httpx.AsyncClient, wrong: Any) -> None:
    """Any field of any route may hold anything; classes and types are Python's, not the caller's."""
    document = (await client.get("/openapi.json")).json()["paths"]
    for path, operations in document.items():
        schema = (
            operations.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        )
        for name in schema.get("schema", {}).get("properties", {}):
            answer = await client.post(path.format(model="text", version="1"), json={name: wrong})
            for leak in ("c4n4ry", "list[", "dict[", "str]", "_Sentences", "_Texts", "<class", "instance of"):
                assert answer.status_code == 200 or leak not in answer.text, (path, name)
