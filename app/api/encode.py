"""POST /encode: from a body to vectors.

read (bounded) -> parse -> limits -> encoded (any protocol) -> JSON, raw block, .npy or Arrow

A body of NDJSON is of any size, and answered line by line: app.api.stream.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy.typing as npt
import orjson
from fastapi import Request, Response
from pydantic import BaseModel, Field

from app import errors
from app.api import stream, vectors
from app.api.arrow import ARROW, ArrowWriter
from app.api.body import read_json_body
from app.api.context import Context
from app.api.encoding import HEADER_PARAMETERS, Answer, admit, encoded
from app.api.hot import HotRoutes
from app.api.notes import NEW_ENTRIES, UNKNOWN_ENTRIES, noted_of
from app.api.wire import EncodeRequest, ask_of, parse, to_inputs
from bundle import Cut, Facts

routes = HotRoutes()


class InputWarning(BaseModel):
    """What is to be told about one input. Only what applies is there."""

    index: int
    truncated: list[Cut] | None = None
    unknown: list[str] | None = Field(None, description="fields with a value that training did not see")
    new_entries: list[int] | None = Field(None, description=NEW_ENTRIES)
    unknown_entries: list[int] | None = Field(None, description=UNKNOWN_ENTRIES)
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
    embeddings: list[list[float]] | list[list[int]] | list[str]
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
        "X-Embedding-Cached": "how many different inputs were not computed for this request; only where "
        "the server keeps results",
        "X-Embedding-Shape": "rows,columns; with raw vectors only",
        "X-Embedding-Type": "of numpy, for example float32; with raw vectors only",
        "X-Embedding-Warnings": "how many inputs have warnings; not with JSON, which has them",
    }.items()
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@routes.post(
    "/encode",
    summary="Encode inputs",
    openapi_extra={
        "parameters": [*HEADER_PARAMETERS, *stream.PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {
                vectors.JSON: {"schema": EncodeRequest.model_json_schema(), "examples": _EXAMPLES},
                stream.NDJSON: {"schema": {"type": "string", "description": "an input per line"}},
            },
        },
    },
    responses={
        200: {
            "model": EncodeResponse,
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
    admit(context, request)
    asked = parse(await read_json_body(request, context.settings), EncodeRequest)
    ask = ask_of(asked, to_inputs(asked, context.settings, clock_s=time.time()))
    answer = await encoded(context, request, ask)
    if media_type == vectors.JSON:
        return _as_json(answer, asked)
    return _as_block(answer, media_type)


def _as_json(answer: Answer, asked: EncodeRequest) -> Response:
    content = {
        "model": answer.loaded.manifest.name,
        "version": answer.loaded.manifest.version,
        "space": answer.space,
        "dim": answer.dim,
        "usage": {"items": len(answer.vectors), "tokens": answer.tokens},
        "warnings": [{"index": index, **noted_of(fact)} for index, fact in _noteworthy(answer.facts)],
    }
    body = vectors.to_json(content, answer.quantized(answer.output), asked.encoding)
    return Response(body, headers=answer.headers(), media_type=vectors.JSON)


def _as_block(answer: Answer, media_type: str) -> Response:
    values = answer.quantized(answer.output)  # [n, dim], or [n, dim / 8]
    headers = answer.headers() | {"X-Embedding-Warnings": str(len(_noteworthy(answer.facts)))}
    if media_type == vectors.RAW:
        headers["X-Embedding-Shape"] = f"{values.shape[0]},{values.shape[1]}"
        headers["X-Embedding-Type"] = values.dtype.name
    return Response(_BLOCKS[media_type](answer, values), headers=headers, media_type=media_type)


def _as_arrow(answer: Answer, values: npt.NDArray[Any]) -> bytes:
    notes: list[str | None] = [None] * len(values)
    for index, fact in _noteworthy(answer.facts):
        notes[index] = orjson.dumps(noted_of(fact)).decode()
    writer = ArrowWriter(values, answer.identity())
    writer.write(range(len(values)), values, notes)
    writer.close()
    return writer.taken()


_BLOCKS: Mapping[str, Callable[[Answer, npt.NDArray[Any]], bytes]] = {
    vectors.RAW: lambda answer, values: vectors.to_raw(values),
    vectors.NPY: lambda answer, values: vectors.to_npy(values),
    ARROW: _as_arrow,
}
MEDIA_TYPES = (vectors.JSON, *_BLOCKS)


def _noteworthy(facts: Sequence[Facts]) -> list[tuple[int, Facts]]:
    return [(index, fact) for index, fact in enumerate(facts) if fact.noteworthy]
