"""POST /encode: from a body to vectors.

    body (app.api.bodies) -> vectors (app.api.service) -> JSON, raw block, .npy or Arrow

A body of NDJSON is of any size, and answered line by line: app.api.stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy.typing as npt
import orjson
from fastapi import Request, Response

from app.api import bodies, service, spaces, sparse, stream, vectors
from app.api.arrow import ARROW, ArrowWriter
from app.api.bodies import EncodeCall, read_call
from app.api.encoded_answer import EncodeResponse, described
from app.api.head_options import HEADER_PARAMETERS, admit
from app.api.large import NUMBER, is_large, off_loop, to_json, writing
from app.api.requests import EncodeBody
from app.api.service import EncodeResult
from app.api.spaces import SpacesResponse
from app.api.warnings import warnings_of
from app.http import errors
from app.http.context import Context
from app.http.routes import RouteGroup
from bundle import KINDS

FLOAT = 4  # bytes of a float32
routes = RouteGroup()

_EXAMPLES: dict[str, Any] = {
    "options": {
        "summary": "several inputs, cut if too long, answered as base64",
        "value": {
            "inputs": list(next(iter(KINDS.values())).examples),
            "truncate": "end",
            "encoding": "base64",
        },
    },
} | {
    name: {"summary": kind.noun, "value": {"inputs": kind.examples[0]}}
    for name, kind in KINDS.items()
    if kind.examples
}
_HEADERS: dict[str, Any] = {
    name: {"description": meaning, "schema": {"type": "string"}}
    for name, meaning in {
        "X-Request-ID": "of this request, as in the server's log",
        "X-Model-Version": "that answered",
        "X-Embedding-Space": "of the vectors",
        "Server-Timing": "prepare, queue and run in ms",
        "X-Embedding-Cached": "how many different inputs were not computed for this request; only where "
        "the server keeps results",
        "X-Embedding-Shape": "rows,columns; with raw vectors only",
        "X-Embedding-Type": "of numpy, for example float32; with raw vectors only",
        "X-Embedding-Warnings": "how many inputs have warnings; not with JSON, which has them",
    }.items()
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def _admit(context: Context, request: Request) -> None:
    """Refuse what would wait in vain. A stream is let in: its lines wait for their turn."""
    if not stream.is_stream(request):
        admit(context, request)


@routes.post(
    "/encode",
    admission=_admit,
    summary="Encode inputs",
    openapi_extra={
        "parameters": [*HEADER_PARAMETERS, *stream.PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {
                vectors.JSON: {"schema": EncodeBody.model_json_schema(), "examples": _EXAMPLES},
                stream.NDJSON: {"schema": {"type": "string", "description": "an input per line"}},
                **bodies.documented(),
            },
        },
    },
    responses={
        200: {
            "model": EncodeResponse | SpacesResponse,
            "description": "The vectors, in the media type that `Accept` asks for",
            "headers": _HEADERS,
            "content": {
                vectors.RAW: _BINARY,
                vectors.NPY: _BINARY,
                ARROW: _BINARY,
                stream.NDJSON: {"schema": {"type": "string", "description": "a line per line"}},
            },
        },
        **errors.documented(*errors.TABLE),
    },
)
async def encode(context: Context, request: Request) -> Response:
    """Vectors for one input or a list of inputs of one kind, in their order.

    A client that sends the `space` it is pinned to keeps getting vectors of that space from a loaded older
    version while its index is encoded anew, and a 412 when there is none; never vectors it cannot compare.
    """
    if stream.is_stream(request):
        return await stream.respond(context, request)
    media_type = vectors.media_type(request.headers.get("accept"), MEDIA_TYPES)
    call = await read_call(context, request)
    if call.options.is_sparse:
        return await _sparse(context, request, call)
    if call.options.spaces is not None:
        vectors.media_type(request.headers.get("accept"), (vectors.JSON,))
        return await spaces.respond(
            context, request, call, _number_bytes(vectors.JSON, call.options.encoding)
        )
    asked = call.options.request(call.inputs, _number_bytes(media_type, call.options.encoding))
    result = await service.encode(context, request, asked)

    if is_large(writing(result.vectors)):
        return await asyncio.to_thread(_respond, result, media_type, call.options.encoding)
    return _respond(result, media_type, call.options.encoding)


async def _sparse(context: Context, request: Request, call: EncodeCall) -> Response:
    """Sparse vectors, which have no other form than JSON."""
    vectors.media_type(request.headers.get("accept"), (vectors.JSON,))
    result = await sparse.encode(context, request, call.options.sparse_request(call.inputs))

    def body() -> bytes:
        rows = [vectors.sparse_row(row, call.options.encoding) for row in result.rows]
        return to_json(described(result) | {"embeddings": rows}, count)

    count = sum(map(len, result.rows))
    content = await off_loop(sparse.ENTRY * count, body)
    return Response(content, headers=result.headers(), media_type=vectors.JSON)


def _number_bytes(media_type: str, encoding: str) -> float:
    """What a dimension takes in an answer, at most."""
    if media_type != vectors.JSON:
        return FLOAT
    return NUMBER if encoding == "float" else FLOAT * 4 / 3


def _respond(result: EncodeResult, media_type: str, encoding: vectors.Encoding) -> Response:
    if media_type == vectors.JSON:
        return _as_json(result, encoding)
    return _as_block(result, media_type)


def _as_json(result: EncodeResult, encoding: vectors.Encoding) -> Response:
    body = vectors.to_json(described(result), result.quantized, encoding)
    return Response(body, headers=result.headers(), media_type=vectors.JSON)


def _as_block(result: EncodeResult, media_type: str) -> Response:
    values = result.quantized  # [n, dim], or [n, dim / 8]
    headers = result.headers() | {"X-Embedding-Warnings": str(len(warnings_of(result.facts)))}
    if media_type == vectors.RAW:
        headers["X-Embedding-Shape"] = f"{values.shape[0]},{values.shape[1]}"
        headers["X-Embedding-Type"] = values.dtype.name
    return Response(_BLOCKS[media_type](result, values), headers=headers, media_type=media_type)


def _as_arrow(result: EncodeResult, values: npt.NDArray[Any]) -> bytes:
    notes: list[str | None] = [None] * len(values)
    for index, fact in enumerate(result.facts):
        if warnings := fact.warnings:
            notes[index] = orjson.dumps(warnings).decode()
    writer = ArrowWriter(values, result.identity())
    writer.write(range(len(values)), values, notes)
    writer.close()
    return writer.taken()


_BLOCKS: Mapping[str, Callable[[EncodeResult, npt.NDArray[Any]], bytes]] = {
    vectors.RAW: lambda result, values: vectors.to_raw(values),
    vectors.NPY: lambda result, values: vectors.to_npy(values),
    ARROW: _as_arrow,
}
MEDIA_TYPES = (vectors.JSON, *_BLOCKS)
