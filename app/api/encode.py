"""POST /encode: from a body to vectors.

read (bounded) -> parse -> limits -> find the encoder -> engine -> cut -> JSON, raw block or .npy
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.types import Receive

from app import engine, errors
from app.api import vectors
from app.api.body import ClientDisconnect, read_json_body
from app.api.context import Context, Ctx
from app.api.wire import EncodeRequest, parse, to_inputs
from bundle import Cut, Facts

CLIENT_LEFT = 499  # nobody reads it; it tells the metrics what happened
T = TypeVar("T")

router = APIRouter()


class InputWarning(BaseModel):
    """What is to be told about one input. Only what applies is there."""

    index: int
    truncated: list[Cut] | None = None
    unknown: list[str] | None = Field(None, description="fields with a value that training did not see")
    empty_history: bool | None = Field(None, description="a history held nothing that the encoder knows")


class Usage(BaseModel):
    """What was encoded."""

    items: int
    tokens: int


class EncodeResponse(BaseModel):
    """Vectors in the order of the inputs."""

    model: str
    version: str
    space: str = Field(description="only vectors of equal spaces can be compared")
    dim: int
    embeddings: list[list[float]] | list[str]
    usage: Usage
    warnings: list[InputWarning]


_EXAMPLES: dict[str, Any] = {
    "text": {"summary": "one text", "value": {"inputs": "hello world"}},
    "texts": {
        "summary": "several texts, cut if too long, answered as base64",
        "value": {"inputs": ["hello world", "good morning"], "truncate": "end", "encoding": "base64"},
    },
    "features": {
        "summary": "a user of a recommender",
        "value": {
            "model": "retail-user",
            "inputs": {"history": [{"id": "85123A", "time": "2011-11-02"}, "22423"], "country": "France"},
        },
    },
}
_HEADERS: dict[str, Any] = {
    name: {"description": meaning, "schema": {"type": "string"}}
    for name, meaning in {
        "X-Request-ID": "of this request, as in the server's log",
        "X-Model-Version": "that answered",
        "X-Embedding-Space": "of the vectors",
        "Server-Timing": "prepare, queue and run in ms",
        "X-Embedding-Shape": "rows,columns; with raw vectors only",
        "X-Embedding-Warnings": "how many inputs have warnings; with raw vectors and .npy only",
    }.items()
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.post(
    "/encode",
    summary="Encode inputs",
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {vectors.JSON: {"schema": EncodeRequest.model_json_schema(), "examples": _EXAMPLES}},
        }
    },
    responses={
        200: {
            "model": EncodeResponse,
            "description": "The vectors, in the media type that `Accept` asks for",
            "headers": _HEADERS,
            "content": {vectors.RAW: _BINARY, vectors.NPY: _BINARY},
        },
        **errors.documented(*errors.TABLE),
    },
)
async def encode(request: Request, context: Ctx) -> Response:
    """Vectors for one input or a list of inputs of one kind, in their order.

    A client that sends the `space` it is pinned to keeps getting vectors of that space from a loaded older
    version while its index is encoded anew, and a 412 when there is none; never vectors it cannot compare.
    """
    accepted = vectors.media_type(request.headers.get("accept"))
    try:
        asked = parse(await read_json_body(request, context.settings))
        return await _unless_left(request.receive, _encode(context, asked, accepted))
    except ClientDisconnect:
        return Response(status_code=CLIENT_LEFT)


async def _encode(context: Context, asked: EncodeRequest, media_type: str) -> Response:
    inputs = to_inputs(asked, context.settings, clock_s=time.time())
    name = asked.model or context.settings.default_model
    loaded = context.registry.find(name, version=asked.version, space=asked.space, dim=asked.dimensions)
    dim = _dim(loaded, asked.dimensions)
    encoded = await context.engine.encode(
        loaded, inputs, truncate=asked.truncate, timeout_s=context.settings.request_timeout_s
    )
    context.metrics.encoded(loaded, encoded)
    return _respond(loaded, encoded, dim, asked, media_type)


def _dim(loaded: engine.Loaded, asked: int | None) -> int:
    manifest = loaded.manifest
    if asked is not None and asked not in manifest.dimensions:
        allowed = ", ".join(map(str, manifest.dimensions))
        raise errors.InvalidRequest(
            f"{manifest.name}/{manifest.version} has no vectors of that length; it has: {allowed}",
            code="invalid_dimensions",
            param="dimensions",
        )
    return asked or manifest.dim


def _respond(
    loaded: engine.Loaded, encoded: engine.Encoded, dim: int, asked: EncodeRequest, media_type: str
) -> Response:
    manifest, timings = loaded.manifest, encoded.timings
    cut = loaded.encoder.cut(encoded.vectors, dim)
    warnings = _warnings(encoded.facts)
    headers = {
        "X-Model-Version": f"{manifest.name}/{manifest.version}",
        "X-Embedding-Space": manifest.space_of(dim),
        "Server-Timing": f"prepare;dur={timings.prepare_s * 1e3:.2f}, queue;dur={timings.queue_s * 1e3:.2f}, "
        f"run;dur={timings.run_s * 1e3:.2f}",
    }
    if media_type != vectors.JSON:
        headers |= {"X-Embedding-Warnings": str(len(warnings))}
    if media_type == vectors.RAW:
        headers |= {"X-Embedding-Shape": f"{cut.shape[0]},{cut.shape[1]}"}
        return Response(vectors.to_raw(cut), headers=headers, media_type=media_type)
    if media_type == vectors.NPY:
        return Response(vectors.to_npy(cut), headers=headers, media_type=media_type)
    answer = {
        "model": manifest.name,
        "version": manifest.version,
        "space": manifest.space_of(dim),
        "dim": dim,
        "usage": {"items": len(cut), "tokens": sum(fact.tokens for fact in encoded.facts)},
        "warnings": warnings,
    }
    return Response(vectors.to_json(answer, cut, asked.encoding), headers=headers, media_type=media_type)


def _warnings(facts: Sequence[Facts]) -> list[dict[str, Any]]:
    return [_warning(index, fact) for index, fact in enumerate(facts) if fact.noteworthy]


def _warning(index: int, fact: Facts) -> dict[str, Any]:
    warning: dict[str, Any] = {"index": index}
    if fact.truncated:
        warning["truncated"] = [asdict(cut) for cut in fact.truncated]
    if fact.unknown:
        warning["unknown"] = list(fact.unknown)
    if fact.empty_history:
        warning["empty_history"] = True
    return warning


async def _unless_left(receive: Receive, work: Awaitable[T]) -> T:
    """The result of the work, which is cancelled when the client leaves. Raises ClientDisconnect."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
