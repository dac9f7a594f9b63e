"""From a body to chunks of lines, however it is cut into blocks. A line that is too long is not kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request

from app.engine import Loaded
from app.http.errors import BodyTimeout
from app.settings import Settings
from bundle import Limit, Truncate

CHUNK_LINES, CHUNK_BYTES = 128, 256 * 1024
LONGEST_LINE_SLACK = 64 * 1024  # for JSON escapes and field names


@dataclass(frozen=True)
class Line:
    """One line of the body; no content if it was too long to be kept."""

    index: int
    content: bytes | None


def line_limits(loaded: Loaded) -> list[Limit]:
    """What bounds a line: the limits that say how long the JSON of an input may be."""
    return [limit for limit in loaded.encoder.kind.limits if limit.json_bytes is not None]


def longest_line(loaded: Loaded, settings: Settings, truncate: Truncate) -> int:
    """The most bytes of a line that is kept: what is to be cut may be as long as a body that is no stream."""
    limits = [limit for limit in line_limits(loaded) if truncate == "none" or limit.cut is None]
    sizes = [settings.value(limit.per_input) * (limit.json_bytes or 0) for limit in limits]
    return min(sizes, default=settings.max_body_bytes) + LONGEST_LINE_SLACK


async def chunks(request: Request, longest: int, timeout_s: float) -> AsyncIterator[list[Line]]:
    """The lines of the body, some at a time. Raises BodyTimeout, ClientDisconnect.

    Args:
        request: whose body it is.
        longest: most bytes of a line that is kept.
        timeout_s: how long nothing may arrive.
    """
    chunk: list[Line] = []
    size = 0
    async for line in _lines(request, longest, timeout_s):
        chunk.append(line)
        size += len(line.content or b"")
        if len(chunk) >= CHUNK_LINES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


async def _lines(request: Request, longest: int, timeout_s: float) -> AsyncIterator[Line]:
    """The lines that are not blank."""
    index, begun, size, is_too_long = 0, list[bytes](), 0, False
    async for block in _received(request, timeout_s):
        *ends, rest = block.split(b"\n")
        for end in ends:
            content = b"".join([*begun, end])
            if content.strip() or is_too_long:
                yield Line(index, None if is_too_long or len(content) > longest else content)
                index += 1
            begun, size, is_too_long = [], 0, False
        begun.append(rest)  # joined once, however many blocks a line has
        size += len(rest)
        if size > longest:
            begun, size, is_too_long = [], 0, True
    content = b"".join(begun)
    if content.strip() or is_too_long:
        yield Line(index, None if is_too_long else content)


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
