"""Requests as bytes to a real server, on a socket of their own: a client library would tidy them up."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 20.0  # a busy machine is slow, not wrong


@dataclass(frozen=True)
class Answer:
    """The first answer of a connection, and all else that came on it."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes = b""

    @cached_property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)


def request(
    method: str, target: str, *lines: str, body: bytes = b"", host: str | None = "127.0.0.1"
) -> bytes:
    """A request that asks for the end of the connection; latin-1, as headers are."""
    head = [f"{method} {target} HTTP/1.1", *([] if host is None else [f"Host: {host}"]), "Connection: close"]
    head += [*lines, f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def ask(url: str, sent: bytes) -> Answer:
    """The answer to these bytes, read to the end of the connection."""
    with connected(url) as client:
        client.sendall(sent)
        return read(client)


def connected(url: str) -> socket.socket:
    """A new connection to the server."""
    place = urlsplit(url)
    assert place.hostname
    assert place.port
    return socket.create_connection((place.hostname, place.port), timeout=PATIENCE_S)


def read(client: socket.socket) -> Answer:
    """All that comes until the server closes."""
    received = b""
    while block := client.recv(1 << 20):
        received += block
    return parsed(received)


def parsed(received: bytes) -> Answer:
    """The first answer in these bytes; one without a length takes the rest."""
    head, blank, rest = received.partition(b"\r\n\r\n")
    assert blank, received[:200]
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers.get("content-length", len(rest)))
    return Answer(int(first.split()[1]), headers, rest[:length], rest[length:])
