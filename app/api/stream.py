"""POST /encode with NDJSON: a body of any size in, a line per line out, in bounded memory.

    body -> lines -> chunks -> engine (bulk lane) -> lines, in order

One input per line; its answer has the line's number as `index` and `embedding`, or `error` in the shape of
every other error, and costs no other line. The last line says `done`; without it the stream was cut short.
At most IN_FLIGHT chunks are in work: while they are, nothing is read, and while the client does not read,
nothing is written, so it waits, not this server. A queue that is full is waited for, as others go first.
Options stand in the query, and are checked before the first byte of the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app import errors
from app.api.context import Context
from app.api.encoding import Answer, Ask, find, prompt_of
from app.api.notes import noted_of
from app.api.vectors import base64_rows
from app.api.wire import EncodeRequest, inputs_of, moment_of, validated
from app.engine import Draining, EngineError, Loaded, Overloaded
from app.errors import BodyTimeout, MalformedRequest, RequestError
from bundle import EncoderyError, Input, InputError, prompted

NDJSON = "application/x-ndjson"
CHUNK_LINES, CHUNK_BYTES, IN_FLIGHT = 128, 256 * 1024, 2
CHUNK_S = 600.0  # how long a chunk may wait for its turn; other callers go first
LONGEST_LINE_SLACK = 64 * 1024  # over 4 bytes a character: JSON escapes and field names
OPTIONS = ("model", "version", "space", "truncate", "encoding", "output", "dimensions", "now")
PARAMETERS: list[dict[str, Any]] = [
    {
        "name": name,
        "in": "query",
        "description": "of a body of NDJSON, what the field means in one of JSON",
        "schema": EncodeRequest.model_json_schema()["properties"][name],
    }
    for name in OPTIONS
]


@dataclass(frozen=True)
class Line:
    """One line of the body; no content if it was too long to be kept."""

    index: int
    content: bytes | None


def is_stream(request: Request) -> bool:
    """Whether the body is NDJSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == NDJSON


async def respond(context: Context, request: Request) -> Response:
    """The streaming answer. Raises what is wrong before the first line."""
    options: dict[str, Any] = dict(request.query_params)
    if options.get("dimensions", "").isdecimal():
        options["dimensions"] = int(options["dimensions"])
    asked = validated({"inputs": [], **options}, EncodeRequest)
    ask = Ask(
        inputs=(),
        model=asked.model,
        version=asked.version,
        space=asked.space,
        dim=asked.dimensions,
        truncate=asked.truncate,
        output=asked.output,
    )
    loaded, dim = find(context, ask)
    prompt = prompt_of(loaded, asked.prompt)
    job = _Job(context, asked, ask, loaded, dim, prompt, moment_of(asked.now, time.time()))
    return _Streamed(job, request)


@dataclass(frozen=True)
class _Job:
    """What every chunk of a stream has in common."""

    context: Context
    asked: EncodeRequest
    ask: Ask
    loaded: Loaded
    dim: int
    prompt: str
    now_s: float

    @property
    def headers(self) -> dict[str, str]:
        """Known before the first line."""
        manifest = self.loaded.manifest
        return {
            "X-Model-Version": f"{manifest.name}/{manifest.version}",
            "X-Embedding-Space": manifest.space_of(self.dim, self.ask.output),
        }

    async def answered(self, lines: Sequence[Line]) -> bytes:
        """The lines' answers, in order."""
        found: dict[int, bytes] = {}
        inputs: list[tuple[int, Input]] = []
        for line in lines:
            try:
                [one] = inputs_of([_value(line)], self.context.settings, self.now_s)
                inputs.append((line.index, one))
            except EncoderyError as error:
                found[line.index] = _failed(line.index, error)
        await self._encode(inputs, found)
        return b"".join(found[line.index] for line in lines)

    async def _encode(self, inputs: Sequence[tuple[int, Input]], found: dict[int, bytes]) -> None:
        """Around an input that cannot be encoded, the rest is."""
        while inputs:
            try:
                self._write(inputs, await self._answer([one for _, one in inputs]), found)
                return
            except (InputError, RequestError, EngineError) as error:
                if isinstance(error, Draining):
                    raise
                at = _culprit(error)
                if at is None and len(inputs) > 1:  # it does not say whose fault it is: look in halves
                    middle = len(inputs) // 2
                    await self._encode(inputs[:middle], found)
                    inputs = inputs[middle:]
                    continue
                index = inputs[at or 0][0]
                found[index] = _failed(index, error)
                inputs = [*inputs[: at or 0], *inputs[(at or 0) + 1 :]]

    async def _answer(self, inputs: Sequence[Input]) -> Answer:
        while True:
            try:
                done = await self.context.engine.encode(
                    self.loaded,
                    prompted(inputs, self.prompt),
                    truncate=self.ask.truncate,
                    timeout_s=CHUNK_S,
                    lane="bulk",
                )
            except Overloaded as overloaded:  # the sender is held back meanwhile, which is what 429 is for
                await asyncio.sleep(overloaded.retry_after_s or 1)
                continue
            self.context.metrics.encoded(self.loaded, done)
            cut = self.loaded.encoder.cut(done.vectors, self.dim)
            return Answer(self.loaded, cut, done.facts, done.timings, self.ask.output)

    def _write(self, inputs: Sequence[tuple[int, Input]], answer: Answer, found: dict[int, bytes]) -> None:
        rows: Any = answer.quantized(answer.output)
        rows = base64_rows(rows) if self.asked.encoding == "base64" else rows
        for (index, _), row, fact in zip(inputs, rows, answer.facts, strict=True):
            noted = noted_of(fact) if fact.noteworthy else {}
            content = {"index": index, "embedding": row, **noted}
            found[index] = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


class _Streamed(Response):
    """Reads, encodes and writes in turns."""

    def __init__(self, job: _Job, request: Request) -> None:
        super().__init__(headers=job.headers, media_type=NDJSON)
        del self.headers["content-length"]
        self._job, self._request = job, request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        timeout_s = self._job.context.settings.body_timeout_s
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for block in self._blocks():
                async with asyncio.timeout(
                    timeout_s
                ):  # a client that does not read would hold a chunk for ever
                    await send({"type": "http.response.body", "body": block, "more_body": True})
        except (ClientDisconnect, TimeoutError):
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _blocks(self) -> AsyncIterator[bytes]:
        flying: deque[asyncio.Task[bytes]] = deque()
        lines = 0
        try:
            async for chunk in _chunks(_lines(self._request, self._job.context)):
                lines += len(chunk)
                flying.append(asyncio.create_task(self._job.answered(chunk)))
                if len(flying) >= IN_FLIGHT:
                    yield await flying.popleft()
            while flying:
                yield await flying.popleft()
            yield orjson.dumps({"done": True, "lines": lines}) + b"\n"
        except EncoderyError as error:  # the end of the stream: what is true of all the lines to come
            yield _failed(None, error)
        finally:
            for task in flying:
                task.cancel()
            await asyncio.gather(*flying, return_exceptions=True)


async def _chunks(lines: AsyncIterator[Line]) -> AsyncIterator[list[Line]]:
    chunk: list[Line] = []
    size = 0
    async for line in lines:
        chunk.append(line)
        size += len(line.content or b"")
        if len(chunk) >= CHUNK_LINES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


async def _lines(request: Request, context: Context) -> AsyncIterator[Line]:
    """The lines of the body that are not blank. Raises BodyTimeout, ClientDisconnect."""
    longest = 4 * context.settings.max_chars_per_item + LONGEST_LINE_SLACK
    index, rest, is_too_long = 0, b"", False
    async for block in _received(request, context.settings.body_timeout_s):
        *whole, rest = (rest + block).split(b"\n")
        for content in whole:
            if content.strip() or is_too_long:
                yield Line(index, None if is_too_long or len(content) > longest else content)
                index += 1
            is_too_long = False
        if len(rest) > longest:
            is_too_long, rest = True, b""
    if rest.strip() or is_too_long:
        yield Line(index, None if is_too_long else rest)


async def _received(request: Request, timeout_s: float) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(timeout_s):
                block = await anext(stream, None)
        except TimeoutError:
            raise BodyTimeout(
                f"nothing arrived for {timeout_s:g} s (ENCODERY_BODY_TIMEOUT_S)", code="body_timeout"
            ) from None
        if block is None:
            return
        yield block


def _value(line: Line) -> Any:
    if line.content is None:
        raise InputError(0, "too_large", "longer than any input may be (ENCODERY_MAX_CHARS_PER_ITEM)")
    try:
        return orjson.loads(line.content)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(
            f"no JSON in UTF-8: {error.msg}, at character {error.pos}", code="invalid_json"
        ) from None


def _culprit(error: EncoderyError) -> int | None:
    """Whose fault it is, by position, where the error says so."""
    if isinstance(error, InputError):
        return error.index
    param = getattr(error, "param", None) or ""
    return int(param[7:-1]) if param.startswith("inputs[") and param[7:-1].isdecimal() else None


def _failed(index: int | None, error: EncoderyError) -> bytes:
    """An error's line. Its place is the line, so a position within our chunk is left out."""
    detail = errors.shortened(errors.failure(error).detail).model_dump()
    if isinstance(error, InputError):
        detail |= {"message": error.reason, "param": error.path.lstrip(".") or None}
    elif _culprit(error) is not None:
        detail |= {"message": detail["message"].partition(": ")[2], "param": None}
    return orjson.dumps(({} if index is None else {"index": index}) | {"error": detail}) + b"\n"
