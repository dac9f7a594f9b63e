"""The streaming answer: reads, encodes and writes in turns.

At most IN_FLIGHT chunks are in work: while they are, nothing is read, and while the client does not read,
nothing is written, so it waits, not this server. Options are checked before the first byte of the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.api import sparse
from app.api.arrow import ARROW
from app.api.inputs import JsonInputs
from app.api.requests import EncodeBody, from_options, moment_of
from app.api.service import resolve
from app.api.stream.formats import MEDIA_TYPES, NDJSON, Arrow, Format, Ndjson
from app.api.stream.job import Job, LineOutcome, failed
from app.api.stream.lines import chunks, longest_line
from app.api.vectors import JSON, media_type
from app.http.body import essence
from app.http.context import Context
from app.http.decoding import coding_of
from app.http.errors import UnsupportedMediaType
from bundle import EncoderyError

IN_FLIGHT = 2
OPTIONS = (
    *("model", "version", "space", "truncate", "prompt", "encoding", "output", "input_type"),
    *("dimensions", "now"),
)
PARAMETERS: list[dict[str, Any]] = [
    {
        "name": name,
        "in": "query",
        "description": "of a body of NDJSON or of bytes, what the field means in one of JSON",
        "schema": EncodeBody.model_json_schema()["properties"][name],
    }
    for name in OPTIONS
]


def is_stream(request: Request) -> bool:
    """Tell whether the body is NDJSON."""
    content_type = request.headers.get("content-type", JSON)
    return content_type != JSON and essence(content_type) == NDJSON


async def respond(context: Context, request: Request) -> Response:
    """The streaming answer. Raises what is wrong before the first line."""
    if coding_of(request.headers.get("content-encoding", "")) is not None:
        raise UnsupportedMediaType(
            "a stream has no limit that it could be expanded to; send it without Content-Encoding",
            code="unsupported_content_encoding",
        )
    kind = media_type(request.headers.get("accept"), MEDIA_TYPES)
    body = from_options(request.query_params)
    now_s = moment_of(body.now, time.time())
    if body.is_sparse:
        return _sparse(context, request, body, now_s)
    target = resolve(context, body.request(JsonInputs((), now_s)))
    nothing = target.encode_nothing()
    like = nothing.quantized  # or this type cannot be had, whatever the lines
    form: Format = Arrow(like, nothing.identity()) if kind == ARROW else Ndjson(body.encoding)
    return _Streamed(Job(context, target, now_s), request, form, nothing.names() | {"Content-Type": kind})


def _sparse(context: Context, request: Request, body: EncodeBody, now_s: float) -> Response:
    """The streaming answer of sparse vectors, which have no other form than JSON."""
    media_type(request.headers.get("accept"), (NDJSON,))
    target = sparse.resolve(context, body.sparse_request(JsonInputs((), now_s)))
    headers = target.names() | {"Content-Type": NDJSON}
    return _Streamed(Job(context, target, now_s), request, Ndjson(body.encoding), headers)


class _Streamed(Response):
    def __init__(self, job: Job, request: Request, form: Format, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._job, self._request, self._form = job, request, form

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timeout_s = self._job.context.settings.body_timeout_s
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._blocks()) as blocks:
                async for block in blocks:
                    async with asyncio.timeout(timeout_s):  # who does not read would hold a chunk for ever
                        await send({"type": "http.response.body", "body": block, "more_body": True})
        except (ClientDisconnect, TimeoutError):
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _blocks(self) -> AsyncGenerator[bytes, None]:
        flying: deque[asyncio.Task[list[LineOutcome]]] = deque()
        form, lines, settings = self._form, 0, self._job.context.settings
        longest = longest_line(self._job.target.loaded, settings, self._job.target.truncate)
        try:
            yield form.begin()
            async for chunk in chunks(self._request, longest, settings.body_timeout_s):
                lines += len(chunk)
                flying.append(asyncio.create_task(self._job.done(chunk)))
                if len(flying) >= IN_FLIGHT:
                    yield form.chunk(await flying.popleft())
            while flying:
                yield form.chunk(await flying.popleft())
            yield form.end(lines)
        except EncoderyError as error:  # the end of the stream: what is true of all the lines to come
            yield form.chunk([failed(None, error)])
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)
