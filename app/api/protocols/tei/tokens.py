"""POST /tokenize and /decode: tokens of texts, and texts of token ids, of the default model."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import Annotated, Any, TypeVar

from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.api.head_options import timeout_of
from app.api.large import off_loop
from app.api.protocols.base import json_response, texts
from app.api.protocols.foreign import ForeignRequest
from app.api.protocols.tei.protocol import OTHER_KIND, TEI
from app.api.protocols.tei.requests import TOKEN_ID
from app.api.service import prompt_of
from app.api.tokens import decoded, id_rows, read_texts, tokenised
from app.api.vectors import JSON
from app.engine import Loaded
from app.http.context import Context
from app.http.disconnect import unless_left
from app.http.errors import InvalidRequest
from bundle import prompted
from bundle.preprocess import Tokenizes

T = TypeVar("T")

_STRING = {"type": "string", "minLength": 1}
_STRINGS = {"anyOf": [_STRING, {"type": "array", "items": _STRING, "minItems": 1}]}


class TokenizeRequest(ForeignRequest):
    """Texts to take apart."""

    encodes = False

    inputs: Annotated[Any, WithJsonSchema(_STRINGS)] = Field(description="a text or a list of texts")
    add_special_tokens: bool = True
    prompt_name: str | None = None


_ROW = {"type": "array", "items": TOKEN_ID, "minItems": 1}
_IDS: dict[str, Any] = {"anyOf": [_ROW, {"type": "array", "items": _ROW, "minItems": 1}]}


class DecodeRequest(ForeignRequest):
    """Token ids to put together."""

    encodes = False

    field = "ids"
    ids: Annotated[Any, WithJsonSchema(_IDS)]
    skip_special_tokens: bool = True


@TEI.post("/tokenize", TokenizeRequest, "Take texts apart")
async def tokenize(context: Context, request: Request) -> Response:
    """The tokens that the encoder would read."""
    asked = await TEI.read(context, request, TokenizeRequest)
    loaded, tokenizer = _default(context)
    prompt, given, settings = prompt_of(loaded, asked.prompt_name), texts(asked.inputs), context.settings
    read = await off_loop(given.work, lambda: read_texts(given, loaded, settings))
    inputs = [one.to_json() for one in prompted(read, prompt)]
    pieces = tokenised(tokenizer, inputs, settings, add_special_tokens=asked.add_special_tokens)
    found = await _beside(context, request, pieces, sum(map(len, inputs)))
    return Response(b"[" + b",".join(found) + b"]", media_type=JSON)


@TEI.post("/decode", DecodeRequest, "Put token ids together")
async def decode(context: Context, request: Request) -> Response:
    """Texts of token ids."""
    asked = await TEI.read(context, request, DecodeRequest)
    _, tokenizer = _default(context)
    rows, count = id_rows(asked.ids, context.settings)
    pieces = decoded(tokenizer, rows, context.settings, skip_special_tokens=asked.skip_special_tokens)
    found = await _beside(context, request, pieces, count)
    return json_response([text for piece in found for text in piece])


def _beside(context: Context, request: Request, pieces: Iterator[T], size: int) -> Awaitable[list[T]]:
    """The pieces, within the request's time; they are dropped when the client leaves."""
    timeout_s = timeout_of(request, context.settings)
    return unless_left(request, context.side_work.collect(pieces, size, timeout_s))


def _default(context: Context) -> tuple[Loaded, Tokenizes]:
    loaded = context.registry.find(context.default_model)
    if not isinstance(loaded.encoder.preprocessor, Tokenizes):
        raise InvalidRequest("the default model has no tokens; it takes no texts", code=OTHER_KIND)
    return loaded, loaded.encoder.preprocessor
