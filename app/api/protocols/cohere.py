"""Cohere's embed: POST /v2/embed and /v1/embed.

cohere-python v2/client.py and types/; what `embedding_types` mean here is in `bundle.quantize`, and what
`input_type` does in `input_types`. It is required there and not here: a model may have no prompts.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from app.api.inputs import check_count, described
from app.api.large import NUMBER
from app.api.protocols.base import Protocol, expected_space, json_vectors, named, refuse_less, texts
from app.api.protocols.foreign import TEXT, ForeignRequest
from app.api.protocols.input_types import with_prompt_for
from app.api.protocols.media import of_content
from app.api.service import EncodeRequest, EncodeResult, encode
from app.api.vectors import base64_rows
from app.http.context import Context
from app.http.errors import Failure, InvalidRequest
from app.settings import Settings
from bundle import InputError, Truncate
from bundle.values import json_type

_InputType: TypeAlias = Literal["search_query", "search_document", "classification", "clustering", "image"]
EmbeddingType: TypeAlias = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
MOST_TYPES = 16  # of vectors in an answer; there are six
# Of an answer, for each dimension: digits and a comma, of a byte or of eight dimensions in one; or base64.
_BYTES: Mapping[EmbeddingType, float] = {
    "float": NUMBER,
    "int8": 5,
    "uint8": 4,
    "binary": 5 / 8,
    "ubinary": 4 / 8,
    "base64": 4 * 4 / 3,
}
_TEXTS = {"anyOf": [{"type": "array", "items": TEXT, "minItems": 1}, {"type": "null"}]}
_TRUNCATE: dict[str, Truncate] = {"NONE": "none", "START": "start", "END": "end"}


def _error(failure: Failure) -> dict[str, str]:
    return {"message": failure.detail.message}


class _Error(BaseModel):
    message: str


COHERE = Protocol(
    "Cohere",
    body=_error,
    error=_Error,
    statuses={422: 400},
    words={'"truncate":"end"': '"truncate":"END"'},
    absent={
        "/v2/rerank": "no model here ranks pairs; POST /score ranks candidates by their vectors",
        "/v2/chat": "the models of this server give vectors, no texts; send texts to /v2/embed",
    },
)


class EmbedRequest(ForeignRequest):
    """Texts to encode."""

    field = "texts"
    ignored = ("priority",)

    model: str | None = Field(None, description="default: the server's")
    texts: Annotated[Any, WithJsonSchema(_TEXTS)] = None
    images: Any = Field(None, description="in place of `texts`, data URIs, for a model of pictures")
    inputs: Any = Field(
        None,
        description='`texts` in another form: [{"content": [{"type": "text", "text": ..}]}], or a picture: '
        '[{"content": [{"type": "image_url", "image_url": {"url": ..}}]}]',
    )
    input_type: _InputType | None = Field(
        None, description="picks the model's prompt for it, if it has one; image is of pictures"
    )
    embedding_types: list[EmbeddingType] | None = Field(
        None, description="default: float", max_length=MOST_TYPES
    )
    output_dimension: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, description="no less than the model reads")
    truncate: Literal["NONE", "START", "END"] | None = "END"


@COHERE.post("/v2/embed", EmbedRequest, "Encode texts")
async def embed(context: Context, request: Request) -> Response:
    """Vectors of texts, in several types at once."""
    asked, answer = await _encoded(context, request)
    types = asked.embedding_types or ["float"]
    return await json_vectors(
        answer,
        lambda: _answer(asked, "2") | {"embeddings": _by_type(answer, types)} | _meta(answer, "2"),
    )


@COHERE.post("/v1/embed", EmbedRequest, "Encode texts")
async def embed_v1(context: Context, request: Request) -> Response:
    """The older form: without `embedding_types`, bare lists of floats."""
    asked, answer = await _encoded(context, request)
    kind = "embeddings_by_type" if asked.embedding_types else "embeddings_floats"

    def content() -> dict[str, Any]:
        types = asked.embedding_types
        embeddings = _by_type(answer, types) if types else list(answer.vectors)
        return _answer(asked, "1") | {"response_type": kind, "embeddings": embeddings} | _meta(answer, "1")

    return await json_vectors(answer, content)


async def _encoded(context: Context, request: Request) -> tuple[EmbedRequest, EncodeResult]:
    asked = await COHERE.read(context, request, EmbedRequest)
    has_parts = asked.texts is None
    asked.texts = await _texts(asked, context.settings)
    model, version = named(context, asked.model)
    ask = EncodeRequest(
        inputs=texts(asked.texts),
        number_bytes=sum(_BYTES[kind] for kind in {*(asked.embedding_types or ["float"])}),
        model=model,
        version=version,
        space=expected_space(request),
        dim=asked.output_dimension,
        truncate=_TRUNCATE[asked.truncate or "END"],
        unit=True,
    )
    refuse_less(context, ask, asked.max_tokens, "max_tokens")
    if asked.input_type != "image":  # pictures have no prompts
        ask = with_prompt_for(asked.input_type, ask, context)
    try:
        return asked, await encode(context, request, ask)
    except InputError as error:
        if not has_parts:
            raise
        place = f"input {error.index}"
        raise InvalidRequest(f"{place}: {error.reason}", code=error.code, param=place) from None


async def _texts(asked: EmbedRequest, settings: Settings) -> Any:
    forms = [name for name in ("texts", "images", "inputs") if getattr(asked, name) not in (None, [])]
    if len(forms) > 1:
        message = f"{' and '.join(forms)} are forms of one field; send one of them"
        raise InvalidRequest(message, code="invalid_value", param=forms[1])
    if asked.images:
        return _images(asked.images)
    if asked.texts is None and asked.inputs is None:
        raise InvalidRequest('"texts" is missing', code="missing_field", param="texts")
    if asked.texts is not None:
        _check_texts(asked)
        return asked.texts
    if isinstance(asked.inputs, list):
        check_count(len(asked.inputs), settings)
    return await asyncio.to_thread(_joined, asked.inputs)  # of any number of parts


def _check_texts(asked: EmbedRequest) -> None:
    """Raise InvalidRequest for what is no list, or is to be pictures."""
    if not isinstance(asked.texts, list):
        message = f"texts: expected a list of texts, this is {described(asked.texts)}"
        raise InvalidRequest(message, code="wrong_type", param="texts")
    if asked.input_type == "image":
        message = "input_type: image is of pictures, which are sent as images; leave it out with texts"
        raise InvalidRequest(message, code="invalid_value", param="input_type")


def _images(images: Any) -> list[dict[str, Any]]:
    if not isinstance(images, list):
        message = f"images: expected a list of data URIs, this is {json_type(images)}"
        raise InvalidRequest(message, code="wrong_type", param="images")
    return [{"image": image} for image in images]


def _joined(inputs: Any) -> list[Any]:
    if not isinstance(inputs, list):
        raise _wrong_parts("inputs")
    return [_of_parts(one, f"input {index}") for index, one in enumerate(inputs)]


def _of_parts(one: Any, place: str) -> Any:
    """The picture of an input's parts, or their texts, one after the other. Raises InvalidRequest."""
    parts = one.get("content") if isinstance(one, dict) else None
    if not isinstance(parts, list):
        raise _wrong_parts(place)
    if (media := of_content(parts, place)) is not None:
        return media
    for number, part in enumerate(parts):
        if not (isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise _wrong_parts(f"{place}, part {number} of its content")
    return "".join(part["text"] for part in parts)


def _wrong_parts(place: str) -> InvalidRequest:
    message = f'{place}: inputs is a list of {{"content": [{{"type": "text", "text": ...}}]}}'
    return InvalidRequest(message, code="wrong_type")


def _by_type(answer: EncodeResult, types: list[EmbeddingType]) -> dict[str, Any]:
    return {kind: _vectors(answer, kind) for kind in types}


def _vectors(answer: EncodeResult, kind: EmbeddingType) -> Any:
    if kind == "float":
        return answer.vectors
    if kind == "base64":
        return base64_rows(answer.vectors)
    return answer.as_type(kind)


def _answer(asked: EmbedRequest, version: str) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "texts": [one for one in asked.texts if isinstance(one, str)]}


def _meta(answer: EncodeResult, version: str) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "api_version": {"version": version},
        "billed_units": {"input_tokens": answer.tokens},
    }
    if warnings := list(_warnings(answer)):
        meta["warnings"] = warnings
    return {"meta": meta}


def _warnings(answer: EncodeResult) -> Iterator[str]:
    if cut := sum(bool(fact.truncated) for fact in answer.facts):
        yield f"{cut} of the texts were too long and were cut"
    if count := sum("media_address" in fact.warnings for fact in answer.facts):
        yield f"{count} of the texts are addresses of pictures, sounds or films; nothing was fetched"
    if count := sum("other_language" in fact.warnings for fact in answer.facts):
        yield f"{count} of the texts seem to be in languages that the model was not trained for"
    if count := sum("respelt" in fact.warnings for fact in answer.facts):
        yield f"{count} of the texts have words that were read as misspelt"
