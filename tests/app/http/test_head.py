"""Heads of requests that the fast parser lets through and the app does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.http.errors import ErrorBody
from app.http.head import MAX_HEADERS

HOST = (b"host", b"a")


async def ask(app: Any, path: str, headers: list[tuple[bytes, bytes]], http_version: str = "1.1") -> Any:
    """Status, headers and body of a POST with this head."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": headers,
        "http_version": http_version,
    }
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], dict(sent[0]["headers"]), body


@pytest.mark.parametrize("path", ["/encode", "/nowhere"])
@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ([], "exactly one Host"),
        ([HOST, HOST], "exactly one Host"),
        ([HOST, *[(b"x-%d" % i, b"1") for i in range(MAX_HEADERS)]], "more than 64 headers"),
        ([HOST, (b"x-long", b"x" * 20_000)], "more than 16384 bytes"),
    ],
)
async def test_a_suspect_head_is_refused(
    client: Any, path: str, headers: list[tuple[bytes, bytes]], named: str
) -> None:
    status, answered, body = await ask(client.app, path, headers)

    error = ErrorBody.model_validate_json(body).error
    assert (status, error.code, answered[b"connection"]) == (400, "invalid_headers", b"close")
    assert named in error.message
    assert answered[b"x-request-id"]


async def test_the_refusal_has_the_shape_of_the_routes_protocol(client: Any) -> None:
    _, _, tei = await ask(client.app, "/embed", [HOST, HOST])
    _, _, cohere = await ask(client.app, "/v2/embed", [HOST, HOST])
    _, _, kserve = await ask(client.app, "/v2/models/text/infer", [HOST, HOST])

    assert json.loads(tei).keys() == {"error", "error_type"}
    assert json.loads(cohere).keys() == {"message"}
    assert json.loads(kserve).keys() == {"error"}


async def test_an_ordinary_head_passes(client: Any) -> None:
    assert (await ask(client.app, "/encode", [HOST, (b"accept", b"*/*")]))[0] == 422
    assert (await ask(client.app, "/encode", [], http_version="1.0"))[0] == 422
