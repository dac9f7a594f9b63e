"""Vectors of texts: /api/embed, which normalises, and the older /api/embeddings, which does not."""

from __future__ import annotations

import time
from typing import Annotated, Any, ClassVar

import numpy as np
from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.api.protocols.base import NO_MEDIA, expected_space, json_response, json_vectors, refuse_less, texts
from app.api.protocols.foreign import ForeignRequest, Length, Refusal
from app.api.protocols.ollama.protocol import OLLAMA, find, named_by
from app.api.service import EncodeRequest, EncodeResult, encode
from app.http.context import Context
from app.http.errors import InvalidRequest
from bundle import InputError

_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string", "minLength": 1}}]}


class _Options(ForeignRequest):
    """Of all that a runner of Ollama's can be told, the one thing that would change a vector."""

    ignored = (
        "numa", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "logits_all", "vocab_only",
        "use_mmap", "use_mlock", "embedding_only", "num_thread", "num_keep", "seed", "num_predict", "top_k",
        "top_p", "min_p", "tfs_z", "typical_p", "repeat_last_n", "temperature", "repeat_penalty",
        "presence_penalty", "frequency_penalty", "mirostat", "mirostat_tau", "mirostat_eta",
        "penalize_newline", "stop",
    )  # fmt: skip

    num_ctx: int | None = Field(None, description="no less than the model reads")


class EmbedRequest(ForeignRequest):
    """Texts to encode."""

    field = "input"
    ignored = ("keep_alive",)
    refused: ClassVar = {"images": Refusal(NO_MEDIA, (None, []))}

    model: str
    input: Annotated[Any, WithJsonSchema(_TEXTS)] = Field("", description="a text or a list of texts")
    truncate: bool | None = Field(True, description="cut what is too long; false refuses it")
    dimensions: Length = Field(None, description="under 1 for all")
    options: _Options | None = None


class EmbeddingsRequest(ForeignRequest):
    """One text to encode."""

    field = "prompt"
    ignored = ("keep_alive",)
    refused: ClassVar = {"images": Refusal(NO_MEDIA, (None, []))}

    model: str
    prompt: str | None = ""
    options: _Options | None = None


@OLLAMA.post("/api/embed", EmbedRequest, "Encode texts")
async def embed(context: Context, request: Request) -> Response:
    """Vectors of texts. No input gives none, as Ollama does."""
    started_s = time.perf_counter()
    asked = await OLLAMA.read(context, request, EmbedRequest)
    if asked.input in ("", [], None):
        find(context, asked.model)
        return json_response({"model": asked.model, "embeddings": []})
    ask = EncodeRequest(
        inputs=texts(asked.input),
        dim=asked.dimensions,
        truncate="none" if asked.truncate is False else "end",
        unit=True,
    )
    answer = await _encoded(context, request, asked, ask)
    content = {
        "model": asked.model,
        "embeddings": np.ascontiguousarray(answer.vectors),
        "total_duration": int((time.perf_counter() - started_s) * 1e9),
        "load_duration": 0,
        "prompt_eval_count": answer.tokens,
    }
    return await json_vectors(answer, lambda: content)


@OLLAMA.post("/api/embeddings", EmbeddingsRequest, "Encode one text")
async def embeddings(context: Context, request: Request) -> Response:
    """The vector of one text; the older route."""
    asked = await OLLAMA.read(context, request, EmbeddingsRequest)
    if not asked.prompt:
        find(context, asked.model)
        return json_response({"embedding": []})
    ask = EncodeRequest(inputs=texts(asked.prompt), truncate="end")
    try:
        answer = await _encoded(context, request, asked, ask)
    except InputError as error:  # of the one text, which is no list
        raise InvalidRequest(f"prompt: {error.reason}", code=error.code, param="prompt") from None
    return json_response({"embedding": answer.vectors[0]}, answer.headers())


async def _encoded(
    context: Context, request: Request, asked: EmbedRequest | EmbeddingsRequest, ask: EncodeRequest
) -> EncodeResult:
    name, version = named_by(context, asked.model)
    ask = ask._replace(model=name, version=version, space=expected_space(request))
    if asked.options is not None:
        refuse_less(context, ask, asked.options.num_ctx, "options.num_ctx")
    return await encode(context, request, ask)
