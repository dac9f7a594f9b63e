"""An app in a real server in this process, and requests and answers as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

import uvicorn

from app.http.application import Application
from app.http.connection import Connection

GIVE_UP_S = 60.0  # so that a failing test ends; a busy machine is slow, not wrong


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def listening(app: Application) -> AsyncIterator[tuple[int, uvicorn.Server]]:
    """A server of an app that has its context; its port."""
    connection: Any = partial(Connection, app)
    config = uvicorn.Config(app, port=0, http=connection, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    server.server_state.default_headers = [(b"date", b"today")]  # else it is set once a second
    try:
        yield server.servers[0].sockets[0].getsockname()[1], server
    finally:
        server.should_exit = True
        for task in server.server_state.tasks:  # of a test that failed
            task.cancel()
        await server.shutdown()


def head(
    path: str, *headers: str, length: int | None = None, version: str = "1.1", method: str = "POST"
) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: a", *headers]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def post(path: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole request."""
    return head(path, *headers, length=len(body)) + body


def chunked(path: str, body: bytes, *headers: str, size: int = 9000) -> bytes:
    """A whole request, its body in chunks."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return head(path, "Transfer-Encoding: chunked", *headers) + chunks + b"0\r\n\r\n"


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of the next answer."""
    lines = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), GIVE_UP_S)).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}
    return int(lines[0].split()[1]), headers


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """The next answer; one that is streamed without the bytes around its chunks."""
    status, headers = await read_head(reader)
    if "content-length" in headers:
        return Answer(status, headers, await reader.readexactly(int(headers["content-length"])))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return Answer(status, headers, body)
