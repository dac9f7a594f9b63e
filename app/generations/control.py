"""Changes asked of a controller in another process: a line of JSON for a line of JSON, over a Unix socket.

The socket is in the directory that the processes of a server share, and that is nobody else's.
"""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from app.generations.changes import (
    AnyChange,
    Outcome,
    change_from_json,
    change_to_json,
    outcome_from_json,
    outcome_to_json,
)
from app.generations.controller import Controller

SOCKET = "control"
MOST_LINE_BYTES = 1 << 16
BUG = b"\n"  # in place of an outcome


@contextmanager
def controlled(controller: Controller, directory: Path) -> Iterator[None]:
    """Let the other processes ask this controller."""
    with _Server(str(directory / SOCKET), partial(_Handler, controller)) as server:
        thread = threading.Thread(target=server.serve_forever, name="control", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


async def ask(directory: Path, change: AnyChange) -> Outcome:
    """Ask the controller of the process that shares the directory, and wait for what comes of it.

    Raises:
        OSError: that process has ended.
    """
    reader, writer = await asyncio.open_unix_connection(directory / SOCKET)
    try:
        writer.write(change_to_json(change) + b"\n")
        line = await reader.readline()
        if not line:
            raise ConnectionResetError("the supervisor ends")
        if line == BUG:
            raise RuntimeError("a change ended in a bug; the supervisor's log says which")
        return outcome_from_json(line)
    finally:
        writer.close()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, block_on_close = True, False
    request_queue_size = 128


class _Handler(socketserver.StreamRequestHandler):
    """Answers one line; its thread waits for the controller."""

    def __init__(
        self, controller: Controller, request: socket.socket, client: object, server: _Server
    ) -> None:
        self._controller = controller
        super().__init__(request, client, server)

    def handle(self) -> None:
        line = self.rfile.readline(MOST_LINE_BYTES)
        if line:
            try:
                answer = outcome_to_json(self._controller.submit(change_from_json(line)).result()) + b"\n"
            except Exception:  # which the controller has logged
                answer = BUG
            self.wfile.write(answer)
