"""Clients that say half of what they should, byte by byte, or read nothing of what they asked for."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

DRIP_S = 1.0  # between bytes of a client that goes on, so that none is silent
RECEIVE_BYTES = 4096  # of the system's memory for what a client does not read
HOST = "Host: a\r\n"
POST = f"POST /encode HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"


@dataclass(frozen=True)
class Sort:
    """One sort of slow clients.

    Attributes:
        first: sent at once.
        drip: sent again and again behind it; empty for a client that is silent.
        limit: the setting that says how long the server waits for such a client.
        periods: of that limit, until the client must be gone.
    """

    first: bytes
    drip: bytes
    limit: str
    periods: int = 1


SORTS = {
    "nothing": Sort(b"", b"", "head_timeout_s"),
    "half heads": Sort(f"POST /encode HTTP/1.1\r\n{HOST}X: ".encode(), b"x", "head_timeout_s"),
    "half bodies": Sort(f"{POST}Content-Length: 9999\r\n\r\n{{".encode(), b" ", "body_timeout_s"),
    "bodies in chunks without an end": Sort(
        f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode(), b"1\r\n \r\n", "body_timeout_s"
    ),
    # So many that they fill the memory of both systems; the period in which that is done counts as progress.
    "unread answers": Sort(
        f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n".encode() * 200, b"", "answer_timeout_s", periods=2
    ),
}


class Crowd:
    """So many clients of a sort, each of which comes again where it is closed, if it is to.

    Attributes:
        connected: connections that were made.
        closed: those of them that the server closed.
    """

    def __init__(self, port: int, sort: Sort, count: int, *, comes_again: bool) -> None:
        self._port, self._sort, self._count, self._comes_again = port, sort, count, comes_again
        self.connected = self.closed = 0

    async def stay(self) -> None:
        """Be there until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._one(number / self._count))

    async def _one(self, share: float) -> None:
        await asyncio.sleep(share * (DRIP_S if self._comes_again else 0))
        while True:
            with suppress(OSError):
                await self._stay_connected()
            self.closed += 1
            if not self._comes_again:
                return

    async def _stay_connected(self) -> None:
        """Connect, send, and go on until the server has enough."""
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", self._port))
            self.connected += 1
            await loop.sock_sendall(client, self._sort.first)
            while not _is_closed(client):
                await asyncio.sleep(DRIP_S)
                await loop.sock_sendall(client, self._sort.drip)


def _is_closed(client: socket.socket) -> bool:
    """The server has ended the connection, which shows without a read."""
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))


@contextmanager
def crowd(port: int, sort: Sort, count: int, *, comes_again: bool) -> Iterator[Crowd]:
    """Let them stay on a thread until the block ends."""
    clients = Crowd(port, sort, count, comes_again=comes_again)
    loop = asyncio.new_event_loop()
    task = loop.create_task(clients.stay())

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield clients
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
