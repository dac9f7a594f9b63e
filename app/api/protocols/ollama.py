"""Ollama: /api/embed, the older /api/embeddings, and what clients ask about models.

ollama docs/api.md and server/routes.go, where /api/embed normalises and /api/embeddings does not. Its own
examples send curl's default Content-Type, so any is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, ClassVar

import numpy as np
from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.api import health
from app.api.protocols.base import (
    NO_MEDIA,
    ErrorText,
    ForeignRequest,
    Protocol,
    Refusal,
    expected_space,
    json_response,
    json_vectors,
    named,
    refuse_less,
    texts,
)
from app.api.service import EncodeRequest, EncodeResult, encode
from app.engine import EngineError, Loaded, Registry
from app.http.context import Context, Ctx
from app.http.errors import Failure

NEVER = "9999-12-31T23:59:59Z"  # until when a model is kept; the CLI shows it as far away


def _error(failure: Failure) -> dict[str, str]:
    return {"error": failure.detail.message}


OLLAMA = Protocol(
    "Ollama",
    body=_error,
    error=ErrorText,
    statuses={422: 400},
    words={'"truncate":"end"': '"truncate":true'},
    any_type=True,
)


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
    dimensions: int | None = Field(None, ge=0, description="0 for all")
    options: _Options | None = None


class EmbeddingsRequest(ForeignRequest):
    """One text to encode."""

    field = "prompt"
    ignored = ("keep_alive",)
    refused: ClassVar = {"images": Refusal(NO_MEDIA, (None, []))}

    model: str
    prompt: str = ""
    options: _Options | None = None


class ShowRequest(ForeignRequest):
    """Which model to tell of; older clients call it `name`."""

    encodes, is_work, access = False, False, "any"

    field = "model"
    ignored = ("verbose", "system", "template", "options")

    model: str | None = None
    name: str | None = None


@OLLAMA.post("/api/embed", EmbedRequest, "Encode texts")
async def embed(context: Context, request: Request) -> Response:
    """Vectors of texts. No input gives none, as Ollama does."""
    started_s = time.perf_counter()
    asked = await OLLAMA.read(context, request, EmbedRequest)
    if asked.input in ("", []):
        _find(context, asked.model)
        return json_response({"model": asked.model, "embeddings": []})
    ask = EncodeRequest(
        inputs=texts(asked.input),
        dim=asked.dimensions or None,
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
        _find(context, asked.model)
        return json_response({"embedding": []})
    answer = await _encoded(
        context, request, asked, EncodeRequest(inputs=texts(asked.prompt), truncate="end")
    )
    return json_response({"embedding": answer.vectors[0]}, answer.headers())


@OLLAMA.get("/api/tags", "List models")
async def tags(context: Ctx) -> Response:
    """Every loaded version, the current one of a model as `latest`; and the models' other names."""
    return json_response({"models": [_tag(name, loaded) for name, loaded in _tagged(context.registry)]})


@OLLAMA.get("/api/ps", "List models in memory")
async def running(context: Ctx) -> Response:
    """The same models: all that are loaded are in memory, and stay there."""
    found = [
        _tag(name, loaded)
        | {"expires_at": NEVER, "size_vram": 0, "context_length": loaded.manifest.max_length}
        for name, loaded in _tagged(context.registry)
    ]
    return json_response({"models": found})


@OLLAMA.post("/api/show", ShowRequest, "One model")
async def show(context: Context, request: Request) -> Response:
    """Details of a model."""
    asked = await OLLAMA.read(context, request, ShowRequest)
    loaded = _find(context, asked.model or asked.name)
    manifest = loaded.manifest
    return json_response(
        {
            "details": _details(loaded),
            "model_info": {
                "general.architecture": "encoder",
                "encoder.context_length": manifest.max_length,
                "encoder.embedding_length": manifest.dim,
                "encodery.space": manifest.space,
            },
            "capabilities": ["embedding"],
            "modified_at": manifest.trained.created,
        }
    )


@OLLAMA.get("/api/version", "The server's version")
async def version() -> Response:
    """The version of Encodery, not of Ollama."""
    return json_response({"version": health.running_version()})


async def _encoded(
    context: Context, request: Request, asked: EmbedRequest | EmbeddingsRequest, ask: EncodeRequest
) -> EncodeResult:
    name, version = named(context, asked.model)
    ask = ask._replace(model=name, version=version, space=expected_space(request))
    if asked.options is not None:
        refuse_less(context, ask, asked.options.num_ctx, "options.num_ctx")
    return await encode(context, request, ask)


def _find(context: Context, model: str | None) -> Loaded:
    name, version = named(context, model)
    return context.registry.find(name or context.settings.default_model, version=version)


def _tagged(registry: Registry) -> Iterator[tuple[str, Loaded]]:
    for model in registry.models.values():
        for version, loaded in model.versions.items():
            yield f"{model.name}:{'latest' if version == model.current else version}", loaded
    for alias in registry.usable_aliases:
        with suppress(EngineError):  # it cannot answer
            yield alias if ":" in alias else f"{alias}:latest", registry.find(alias)


def _tag(name: str, loaded: Loaded) -> dict[str, Any]:
    manifest = loaded.manifest
    return {
        "name": name,
        "model": name,
        "modified_at": manifest.trained.created,
        "size": sum(file.size for file in manifest.files.values()),
        "digest": manifest.digest,
        "details": _details(loaded),
    }


def _details(loaded: Loaded) -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "onnx",
        "family": loaded.manifest.kind,
        "families": [loaded.manifest.kind],
        "parameter_size": "",
        "quantization_level": "",
    }
