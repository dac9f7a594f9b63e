"""No list in a request is checked to its end when it is wrong: a mistake in each of its entries is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import httpx2 as httpx
import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from app.api.protocols import PROTOCOLS
from app.api.requests import EncodeBody
from app.api.score_form import ScoreRequest

MANY = 200_000


def models(of: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """It, and those within."""
    yield of
    for field in of.model_fields.values():
        for one in (field.annotation, *get_args(field.annotation)):
            for inner in (one, *get_args(one)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from models(inner)


def lists() -> Iterator[tuple[str, FieldInfo]]:
    """Fields that are lists of something."""
    requests = [route.request for protocol in PROTOCOLS for route in protocol.routes if route.request]
    for request in (EncodeBody, ScoreRequest, *requests):
        for model in models(request):
            for name, field in model.model_fields.items():
                kinds = (field.annotation, *get_args(field.annotation))
                if any(get_origin(kind) is list and get_args(kind) != (Any,) for kind in kinds):
                    yield f"{model.__name__}.{name}", field


FOUND = dict(lists())


def test_there_are_lists() -> None:
    assert {"Sentences.sentences", "InferRequest.inputs", "EmbedRequest.embedding_types"} <= set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_a_list_ends_at_its_first_mistake_or_is_short(name: str) -> None:
    bounds = repr(FOUND[name].metadata)

    assert "FailFast(fail_fast=True)" in bounds or "MaxLen(" in bounds


WRONG: dict[str, tuple[str, bytes]] = {
    "sentences": (
        "/similarity",
        b'{"inputs":{"source_sentence":"a","sentences":[' + b"0," * MANY + b"0]}}",
    ),
    "ids": ("/decode", b'{"ids":["a"' + b',"a"' * MANY + b"]}"),
    "too many ids": ("/decode", b'{"ids":[0' + b",0" * 300_000 + b"]}"),
    "mixed ids": ("/decode", b'{"ids":[[0],0' + b",true" * 9 + b"]}"),
    "types of vectors": (
        "/v2/embed",
        b'{"texts":["a"],"embedding_types":["float"' + b',"float"' * MANY + b"]}",
    ),
    "tensors": (
        "/v2/models/text/infer",
        b'{"inputs":[{"name":"a","datatype":"BYTES","shape":[1]}'
        + b',{"name":"a","datatype":"BYTES","shape":[1]}' * 30_000
        + b"]}",
    ),
    "unknown fields": ("/encode", b"{" + b",".join(b'"k%d":0' % at for at in range(150_000)) + b"}"),
    "parts of texts": (
        "/v2/embed",
        b'{"inputs":[{"content":[' + b'{"type":"image"},' * 40_000 + b'{"type":"image"}]}]}',
    ),
    "texts that are none": ("/v1/embeddings", b'{"model":"text","input":[0' + b",0" * MANY + b"]}"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_long_list_of_mistakes_gets_one_short_answer_at_once(
    client: httpx.AsyncClient, name: str
) -> None:
    path, body = WRONG[name]
    response = await client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in (400, 422), response.text
    assert len(response.content) < 4096


@pytest.mark.parametrize("shape", [[524_289], [1, 524_289], [2048, 1000]])
async def test_tensors_of_too_many_values_are_refused_before_they_are_read(
    client: httpx.AsyncClient, shape: list[int]
) -> None:
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    head = b'{"inputs":[{"name":"a","datatype":"BOOL","shape":%s,"parameters":{"binary_data_size":%d}}]}' % (
        repr(shape).encode(),
        count,
    )
    headers = {"Inference-Header-Content-Length": str(len(head))}

    response = await client.post("/v2/models/shop-user/infer", content=head + bytes(count), headers=headers)

    assert response.status_code == 400
    assert "more than 524288 values" in response.text
