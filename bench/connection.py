"""One connection of the load generator: sends a request, reads its answer, and times nothing itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

END_OF_HEAD = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One request at a time.

    Attributes:
        due_s: when the request in work should have gone out.
        is_usable: it may carry another request: neither side closed it.

    Args:
        answered: called with the connection, the status and the size of the body; status 0 when the
            connection broke before the answer's end.
        closed: called when a connection without a request is closed.
    """

    def __init__(self, answered: Answered, closed: Callable[[Connection], None] = lambda _: None) -> None:
        self._answered, self._closed = answered, closed
        self._head = b""
        self._status = self._missing = self._size = 0
        self._is_busy = False
        self.is_usable = True
        self.due_s = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's own class

    def send(self, request: bytes, due_s: float) -> None:
        """Start a request that should have gone out at `due_s`."""
        self.due_s, self._is_busy, self._status, self._head = due_s, True, 0, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._status:
            self._head += data
            head, end, data = self._head.partition(END_OF_HEAD)
            if not end:
                return
            lower = head.lower()
            self._status = int(head[9:12])
            self._missing = self._size = _content_length(lower)
            if b"\r\nconnection: close" in lower:
                self.is_usable = False
        self._missing -= len(data)
        if self._missing <= 0 and self._is_busy:
            self._is_busy = False
            if not self.is_usable:
                self.transport.close()
            self._answered(self, self._status, self._size)

    def connection_lost(self, exc: Exception | None) -> None:
        was_usable, self.is_usable = self.is_usable, False
        if self._is_busy:
            self._is_busy = False
            self._answered(self, 0, 0)
        elif was_usable:
            self._closed(self)


Answered: TypeAlias = Callable[[Connection, int, int], None]


def _content_length(lower_head: bytes) -> int:
    at = lower_head.find(b"\r\ncontent-length:")
    return int(lower_head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
