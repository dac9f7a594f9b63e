"""Offers to upgrade, which the JDK's client and `curl --http2` make with every request: ignored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from routes import REFUSED
from sockets import GIVE_UP_S, Answer, chunked, head, listening, post, read_answer

from app.engine import Registry
from app.main import GROUPS, create_app
from app.settings import Settings

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAA")
OFFERS = {
    "h2c": H2C,
    "websocket": ("Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "tls": ("connection: upgrade", "upgrade: TLS/1.0, HTTP/1.1"),
    "two lines": ("Upgrade: foo", "Connection: x", "Connection: Upgrade", "Upgrade: bar"),
}
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"  # a body that is a request

TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}
ANY = {
    "inputs": "hello",
    "input": "hello",
    "texts": ["hello"],
    "model": "text",
    "ids": [1],
}
BODIES: dict[str, Any] = {
    "/api/embeddings": {"model": "text", "prompt": "hello"},
    "/encode": {"inputs": "hello"},
    "/score": {"query": "hello", "candidates": ["cat"]},
    "/explain": {"query": "hello", "other": "cat"},
    "/v1/models/text:explain": {"instances": [{"query": "hello", "other": "cat"}]},
    "/adapt": {"vectors": [[0.5, 0.5]], "space": "sp_of_nobody"},  # 412: there is no adapter
    "/rerank": {"query": "hello", "texts": ["cat"]},
    "/v1/embed": {"texts": ["hello"]},
    "/v2/embed": {"texts": ["hello"]},
    "/vertex": {"instances": [{"inputs": "hello"}]},
    "/similarity": {"inputs": {"source_sentence": "hello", "sentences": ["cat"]}},
    "/v2/models/text/infer": {"inputs": [TENSOR]},
    "/v2/models/text/versions/1/infer": {"inputs": [TENSOR]},
    "/v2/repository/index": {"ready": True},
}
ROUTES = sorted(
    path.replace("{model}", "text").replace("{version}", "1")
    for group in GROUPS
    for method, path in group.direct
    if method == "POST"
)
FORMS = {"by length": post, "chunked": chunked}


def body_for(path: str) -> bytes:
    return json.dumps(BODIES.get(path, ANY)).encode()


def segments(request: bytes, body: bytes) -> dict[str, list[bytes]]:
    """The request as its client's system may cut it."""
    start = len(request) - len(body) if request.endswith(body) else request.index(b"\r\n\r\n") + 4
    return {
        "one": [request],
        "head and body": [request[:start], request[start:]],
        "within both": [
            request[:9],
            request[9 : start - 3],
            request[start - 3 : start + 5],
            request[start + 5 :],
        ],
        "bytes": [request[at : at + 1] for at in range(len(request))],
    }


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self._writer = reader, writer

    async def send(self, *parts: bytes) -> None:
        """Each in a segment of its own, as far as a loopback keeps them apart."""
        for part in parts:
            self._writer.write(part)
            await asyncio.sleep(0)

    async def ask(self, *parts: bytes) -> Answer:
        await self.send(*parts)
        return await read_answer(self.reader)

    def end(self) -> None:
        """Send no more, and go on reading."""
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connected(registry: Registry) -> AsyncIterator[Client]:
    app = create_app(Settings(threads=2), registry)
    async with app.router.lifespan_context(app), listening(app) as (port, _):
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield client
        finally:
            client.close()


def test_the_table_of_routes_is_not_empty() -> None:
    assert {"/encode", "/score", "/embed", "/v1/embeddings", "/v2/models/text/infer"} <= {*ROUTES}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("cut", ["one", "head and body", "within both", "bytes"])
async def test_every_post_route_answers_as_without_the_offer(
    registry: Registry, offer: str, form: str, cut: str
) -> None:
    """On one connection, which lives on."""
    async with connected(registry) as client:
        for path in ROUTES:
            body = body_for(path)
            plain = await client.ask(FORMS[form](path, body))
            request = FORMS[form](path, body, *OFFERS[offer])
            offered = await client.ask(*segments(request, body)[cut])

            assert offered.status == plain.status, (path, plain)
            assert plain.status in ((400,) if path in REFUSED else (200, 409, 412, 424)), (path, plain)
            assert "connection" not in offered.headers
            assert {*offered.headers} == {*plain.headers}
            if path == "/encode":
                assert offered.body == plain.body


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("cut", ["one", "head and body", "within both", "bytes"])
async def test_a_request_within_a_body_is_never_answered(registry: Registry, offer: str, cut: str) -> None:
    async with connected(registry) as client:
        for path in ROUTES:
            request = post(path, SMUGGLED, *OFFERS[offer])
            refused = await client.ask(*segments(request, SMUGGLED)[cut])
            following = await client.ask(head("/v2", method="GET"))

            assert refused.status >= 400, path
            assert json.loads(following.body)["name"] == "encodery", path


@pytest.mark.parametrize("offer", OFFERS)
async def test_a_stream_has_all_its_lines(registry: Registry, offer: str) -> None:
    lines = b"".join(b'"hello %d"\n' % number for number in range(1000))
    request = post("/encode", lines, "Content-Type: application/x-ndjson", *OFFERS[offer])
    start = len(request) - len(lines)
    async with connected(registry) as client:
        answer = await client.ask(request[:start], request[start : start + 5000], request[start + 5000 :])

    found = [json.loads(line) for line in answer.body.splitlines()]
    assert found[-1] == {"done": True, "lines": 1000}
    assert [one["index"] for one in found[:-1]] == [*range(1000)]


@pytest.mark.parametrize("offer", OFFERS)
async def test_leave_to_send_is_given(registry: Registry, offer: str) -> None:
    async with connected(registry) as client:
        for path in ROUTES:
            body = body_for(path)
            await client.send(head(path, "Expect: 100-continue", *OFFERS[offer], length=len(body)))
            if path not in REFUSED:  # by their heads
                leave = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), GIVE_UP_S)
                assert leave == b"HTTP/1.1 100 Continue\r\n\r\n"
            await client.send(body)
            assert (await read_answer(client.reader)).status in (200, 400, 409, 412, 424), path


@pytest.mark.parametrize("at_once", [True, False])
async def test_requests_before_and_behind_an_offer_are_answered_in_order(
    registry: Registry, at_once: bool
) -> None:
    requests = [
        head("/v2", method="GET"),
        post("/encode", body_for("/encode"), *H2C),
        chunked("/encode", body_for("/encode"), *H2C, size=7),
        post("/nowhere", b"x", *H2C),
        head("/health/live", *H2C, method="GET"),
        post("/encode", body_for("/encode")),
        post("/encode", SMUGGLED, *H2C),
        head("/v2", method="GET"),
    ]
    async with connected(registry) as client:
        await client.send(
            *([b"".join(requests)] if at_once else [bytes([one]) for one in b"".join(requests)])
        )
        found = [await read_answer(client.reader) for _ in requests]
        nothing_more = client.reader._buffer  # type: ignore[attr-defined]

    assert [answer.status for answer in found] == [200, 200, 200, 404, 200, 200, 400, 200]
    assert found[1].body == found[2].body == found[5].body
    assert found[0].body == found[7].body
    assert not nothing_more


@pytest.mark.parametrize("form", FORMS)
async def test_a_body_that_is_cut_short_is_not_answered(registry: Registry, form: str) -> None:
    """Nor is what stands in the part that came."""
    async with connected(registry) as client:
        whole = FORMS[form]("/encode", SMUGGLED + b"x" * 100, *H2C)
        await client.send(whole[:-60])
        await asyncio.sleep(0.05)
        client.end()
        assert await asyncio.wait_for(client.reader.read(), GIVE_UP_S) == b""


async def test_connection_close_beside_the_offer_still_closes(registry: Registry) -> None:
    async with connected(registry) as client:
        request = post("/encode", body_for("/encode"), "Connection: upgrade, close", "Upgrade: h2c")
        answer = await client.ask(request)

        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await asyncio.wait_for(client.reader.read(), GIVE_UP_S) == b""


@pytest.mark.parametrize("path", ["a:80", "/"])
async def test_connect_is_refused_and_ends_the_connection(registry: Registry, path: str) -> None:
    async with connected(registry) as client:
        answer = await client.ask(head(path, method="CONNECT") + SMUGGLED)

        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert await asyncio.wait_for(client.reader.read(), GIVE_UP_S) == b""
