"""Heads of requests that the fast parser lets through and the app does not."""

from __future__ import annotations

from typing import Any

import pytest

from app.http.errors import ErrorBody
from app.http.head import HeaderGuard

HOST = (b"host", b"a")


async def ask(headers: list[tuple[bytes, bytes]], http_version: str = "1.1") -> tuple[int, bytes]:
    """Status and body; what passes the guard gets a 204."""
    sent: list[Any] = []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "http_version": http_version}
    await HeaderGuard(inside)(scope, None, send)  # type: ignore[arg-type]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ([], "exactly one Host"),
        ([HOST, HOST], "exactly one Host"),
        ([HOST, *[(b"x-%d" % i, b"1") for i in range(70)]], "more than 64 headers"),
        ([HOST, (b"x-long", b"x" * 20_000)], "more than 16384 bytes"),
    ],
)
async def test_a_suspect_head_is_refused(headers: list[tuple[bytes, bytes]], named: str) -> None:
    status, body = await ask(headers)

    error = ErrorBody.model_validate_json(body).error
    assert (status, error.code) == (400, "invalid_headers")
    assert named in error.message


async def test_an_ordinary_head_passes() -> None:
    assert await ask([HOST, (b"accept", b"*/*")]) == (204, b"")
    assert await ask([], http_version="1.0") == (204, b"")
