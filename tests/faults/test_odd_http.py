"""F10: a real server with all its routes takes odd HTTP: every method on every path, a million chunks."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from raw import Answer, connected, parsed
from routes import METHODS, paths
from running import serving

from app.main import create_app
from app.settings import Settings
from faults.probes import probing

BODIES = {  # what stands behind the head, and the lines of the head that frame it
    "none": (b"", ()),
    "by length": (b'{"inputs": "hello"}', ("Content-Length: 19",)),
    "in chunks": (b'13\r\n{"inputs": "hello"}\r\n0\r\n\r\n', ("Transfer-Encoding: chunked",)),
    "that another request follows": (b"", ("Content-Length: 0", "Expect: 100-continue")),
}
NEXT = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HANGS_S = 10.0
ONE = b'{"inputs": "hello world"'  # and blanks, one a chunk, to its end

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def url(published: Path) -> Iterator[str]:
    with serving(published) as started:
        yield started


@pytest.fixture(scope="module")
def every_path() -> list[str]:
    return [*paths(create_app(Settings())), "/nowhere", "/encode/", "//encode", "/%2e%2e/encode"]


def asked(client: socket.socket, method: str, path: str, body: str) -> list[Answer]:
    """The answers to a request and to another one behind it."""
    content, lines = BODIES[body]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *lines])
    client.sendall(head.encode() + b"\r\n\r\n" + content + NEXT)
    received = b""
    while block := client.recv(1 << 20):
        received += block
    return list(answers(received.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b""), method))


def answers(received: bytes, method: str) -> Iterator[Answer]:
    """What came back; the first without a body if it is for HEAD."""
    while received:
        head, blank, rest = received.partition(b"\r\n\r\n")
        if method == "HEAD":
            yield parsed(head + blank)
        else:
            yield (one := parsed(received))
            rest = one.rest
        received, method = rest, ""


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", [*METHODS, "CONNECT", "PROPFIND", "BREW", "get"])
def test_every_method_on_every_path_is_answered_and_so_is_what_follows(
    url: str, every_path: list[str], method: str, body: str, figure: Any
) -> None:
    statuses: Counter[int] = Counter()
    slowest_s = 0.0
    for path in every_path:
        started_s = time.monotonic()
        with connected(url) as client:
            first, *rest = asked(client, method, path, body)
        slowest_s = max(slowest_s, time.monotonic() - started_s)
        statuses[first.status] += 1
        assert first.status < 500, path
        if first.status == 405:
            assert method not in first.headers["allow"].split(", "), path
        # What ends the connection is the last; behind all else the next request is answered, and only that.
        closes = first.headers.get("connection") == "close"
        assert [one.status for one in rest] == ([] if closes else [200]), path

    figure("F10", "methods x paths x bodies", len(every_path) * len(BODIES) * (len(METHODS) + 4))
    figure("F10", "longest wait for the answer to an odd request", slowest_s, at_most=HANGS_S, unit="s")
    assert statuses.total() == len(every_path)


def test_a_million_chunks_of_one_byte_are_read_and_hold_nobody_up(
    url: str, effort: Callable[..., int], figure: Any
) -> None:
    count = effort(50_000, 1_000_000)
    blanks = b"1\r\n \r\n"
    head = b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
    start = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(ONE), ONE)
    place = httpx.URL(url)
    with connected(url) as client, probing(place.port or 0) as probes:
        started_s = time.monotonic()
        client.sendall(start + blanks * count + b"1\r\n}\r\n0\r\n\r\n")
        received = b""
        while block := client.recv(65536):
            received += block
        took_s = time.monotonic() - started_s

    answer = parsed(received)
    figure("F10", "a million chunks of one byte are answered after", took_s, at_most=HANGS_S, unit="s")
    figure("F10", "p99 of probes beside these chunks", probes.p99_ms, at_most=100, unit="ms")
    assert answer.status == 200
    assert answer.json["usage"]["items"] == 1
    assert probes.failures == []
