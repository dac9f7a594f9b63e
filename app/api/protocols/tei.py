"""Text Embeddings Inference: /embed and its relatives, for the default model.

Read in huggingface/text-embeddings-inference, router/src/http/{types,server}.rs and core/src/infer.rs.
Unlike there, what is too long is refused unless the caller asks for `truncate`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from fastapi import Request, Response
from pydantic import BaseModel, Field, WithJsonSchema

from app.api import health
from app.api.head_options import timeout_of
from app.api.inputs import JsonInputs, read_inputs
from app.api.large import off_loop
from app.api.protocols.base import (
    ForeignRequest,
    Protocol,
    Refusal,
    Texts,
    expected_space,
    json_response,
    json_vectors,
    texts,
)
from app.api.service import EncodeRequest, EncodeResult, encode, prompt_of
from app.api.tokens import decoded, id_rows, tokenised
from app.api.vectors import JSON
from app.engine import Loaded
from app.http.context import Context, Ctx
from app.http.disconnect import unless_left
from app.http.errors import Failure, InvalidRequest
from bundle import InputError, prompted
from bundle.preprocess import Tokenizes

_TYPES = {422: "Validation", 424: "Backend", 429: "Overloaded", 503: "Unhealthy", 504: "Overloaded"}


def _error(failure: Failure) -> dict[str, str]:
    kind = "Empty" if failure.detail.code == "empty_inputs" else _TYPES.get(TEI.status(failure), "Validation")
    return {"error": failure.detail.message, "error_type": kind}


class _Error(BaseModel):
    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class _Tei(Protocol):
    def status(self, found: Failure) -> int:
        return 400 if found.detail.code == "empty_inputs" else super().status(found)


TEI = _Tei(
    "TEI", body=_error, error=_Error, statuses={500: 424}, words={'"truncate":"end"': '"truncate":true'}
)


T = TypeVar("T")


class _Texts(ForeignRequest):
    truncate: bool | None = Field(default=None, description="cut what is too long; by default it is refused")
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    prompt_name: str | None = None

    def cut(self) -> Literal["none", "end", "start"]:
        """The truncation in our words."""
        if not self.truncate:
            return "none"
        return "start" if self.truncation_direction.lower() == "left" else "end"


class EmbedRequest(_Texts):
    """Texts to encode."""

    refused: ClassVar = {
        "encoding_format": Refusal(
            "this route answers with numbers; /v1/embeddings has base64", (None, "float")
        )
    }

    inputs: Texts = Field(description="a text or a list of texts")
    normalize: bool | None = Field(True, description="false gives what the model gives")
    dimensions: int | None = Field(default=None, ge=1)


class _Sentences(ForeignRequest):
    source_sentence: str
    sentences: list[str] = Field(min_length=1, fail_fast=True)


class SimilarityRequest(ForeignRequest):
    """One text to compare with others."""

    inputs: _Sentences
    parameters: _Texts | None = None


_STRING = {"type": "string"}  # which may be empty: it has special tokens, or none
_STRINGS = {"anyOf": [_STRING, {"type": "array", "items": _STRING, "minItems": 1}]}


class TokenizeRequest(ForeignRequest):
    """Texts to take apart."""

    encodes = False

    inputs: Annotated[Any, WithJsonSchema(_STRINGS)] = Field(description="a text or a list of texts")
    add_special_tokens: bool = True
    prompt_name: str | None = None


_ID = {"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1}
_IDS: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": _ID},
        {"type": "array", "items": {"type": "array", "items": _ID}},
    ]
}


class DecodeRequest(ForeignRequest):
    """Token ids to put together."""

    encodes = False

    field = "ids"
    ids: Annotated[Any, WithJsonSchema(_IDS)]
    skip_special_tokens: bool = True


class OtherRequest(ForeignRequest):
    """What a model of another kind takes; not looked at."""

    encodes, is_work, access = False, False, "any"


@TEI.post("/embed", EmbedRequest, "Encode texts")
@TEI.post("/", EmbedRequest, "Encode texts")
async def embed(context: Context, request: Request) -> Response:
    """Vectors of texts, a list of lists even for one text."""
    started_s = time.perf_counter()
    asked = await TEI.read(context, request, EmbedRequest)
    inputs = texts(asked.inputs)
    unit = asked.normalize is not False
    answer = await _encoded(context, request, inputs, asked, dim=asked.dimensions, unit=unit)
    headers = answer.headers() | _headers(answer, inputs, started_s)
    return await json_vectors(answer, lambda: np.ascontiguousarray(answer.vectors), headers)


@TEI.post("/similarity", SimilarityRequest, "Compare a text with others")
async def similarity(context: Context, request: Request) -> Response:
    """The cosine of the source with each sentence."""
    started_s = time.perf_counter()
    asked = await TEI.read(context, request, SimilarityRequest)
    inputs = texts([asked.inputs.source_sentence, *asked.inputs.sentences])
    try:
        answer = await _encoded(context, request, inputs, asked.parameters or _Texts(), unit=True)
    except InputError as error:
        place = f"sentences[{error.index - 1}]" if error.index else "source_sentence"
        raise InvalidRequest(
            f"inputs.{place}: {error.reason}", code=error.code, param=f"inputs.{place}"
        ) from None
    source, *others = answer.vectors
    return json_response(np.stack(others) @ source, answer.headers() | _headers(answer, inputs, started_s))


async def _encoded(
    context: Context,
    request: Request,
    inputs: JsonInputs,
    asked: _Texts,
    *,
    unit: bool,
    dim: int | None = None,
) -> EncodeResult:
    ask = EncodeRequest(
        inputs=inputs,
        dim=dim,
        truncate=asked.cut(),
        space=expected_space(request),
        prompt=asked.prompt_name,
        unit=unit,
    )
    return await encode(context, request, ask)


def _headers(answer: EncodeResult, inputs: JsonInputs, started_s: float) -> dict[str, str]:
    """TEI's timing headers, in ms."""
    timings = answer.timings
    characters = sum(map(len, inputs.values))
    measured = {
        "x-compute-time": timings.run_s * 1e3,
        "x-total-time": (time.perf_counter() - started_s) * 1e3,
        "x-tokenization-time": timings.prepare_s * 1e3,
        "x-queue-time": timings.queue_s * 1e3,
        "x-inference-time": timings.run_s * 1e3,
    }
    return {name: f"{value:.3f}" for name, value in measured.items()} | {
        "x-compute-type": "cpu",
        "x-compute-characters": str(characters),
        "x-compute-tokens": str(answer.tokens),
    }


@TEI.post("/tokenize", TokenizeRequest, "Take texts apart")
async def tokenize(context: Context, request: Request) -> Response:
    """The tokens that the encoder would read."""
    asked = await TEI.read(context, request, TokenizeRequest)
    loaded, tokenizer = _default(context)
    prompt, given, settings = prompt_of(loaded, asked.prompt_name), texts(asked.inputs), context.settings
    read = await off_loop(given.work, lambda: read_inputs(given, loaded, settings))
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
    loaded = context.registry.find(context.settings.default_model)
    if not isinstance(loaded.encoder.preprocessor, Tokenizes):
        raise InvalidRequest("the default model has no tokens", code="wrong_kind")
    return loaded, loaded.encoder.preprocessor


@TEI.get("/info", "The default model and the limits")
async def info(context: Ctx) -> Response:
    """What TEI's /info says, of the default model."""
    settings = context.settings
    manifest = context.registry.find(settings.default_model).manifest
    return json_response(
        {
            "model_id": manifest.name,
            "model_sha": manifest.digest,
            "model_dtype": "float32",
            "served_model_name": manifest.name,
            "model_type": {"embedding": {"pooling": "in the graph"}},
            "max_concurrent_requests": settings.max_queue_items,
            "max_input_length": manifest.max_length,
            "max_batch_tokens": settings.batch_tokens,
            "max_batch_requests": None,
            "max_client_batch_size": settings.max_items,
            "auto_truncate": False,
            "tokenization_workers": settings.threads,
            "version": health.running_version(),
            "sha": None,
            "docker_label": None,
        }
    )


def _cannot(message: str) -> Any:
    """A handler that answers as TEI does for a model of another kind."""

    async def refuse(context: Context, request: Request) -> Response:
        """Never: the models of this server give one vector per input."""
        return Response(
            b'{"error":"%s","error_type":"Backend"}' % message.encode(), 424, media_type="application/json"
        )

    return refuse


for _path, _message in {
    "/embed_all": "Model gives no vector per token",
    "/embed_sparse": "Model is not an embedding model with SPLADE pooling",
    "/rerank": "model is not a re-ranker model",
    "/predict": "model is not a classifier model",
}.items():
    TEI.post(_path, OtherRequest, "Answers 424: for models of another kind")(
        _cannot(f"Backend error: {_message}")
    )
