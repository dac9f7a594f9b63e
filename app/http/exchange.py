"""A request on one of our connections, and its answer, which goes out in one write: a cycle of uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from fastapi import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.http import errors
from app.http.context import Context
from app.http.pipeline import answer
from app.http.request import DirectRequest
from app.http.routes import Routes


class Exchange(RequestResponseCycle):
    """A request, and its answer.

    Args:
        table: finds the route.
        context: the parts of the app.
        linger: closes the connection of a client that is still sending.
        cycle: what uvicorn's cycle takes.
    """

    def __init__(self, table: Routes, context: Context, linger: Callable[[], None], **cycle: Any) -> None:
        super().__init__(**cycle)
        self._table, self._context, self._linger = table, context, linger
        self._task: asyncio.Task[Any] | None = None  # until the answer is written

    async def run_asgi(self, app: object) -> None:
        """Answer, whatever happens; under the name by which uvicorn starts a cycle."""
        self._task = asyncio.current_task()
        scope = cast(Scope, self.scope)
        route = self._table.find(scope)
        try:
            await answer(self._context, route, DirectRequest(scope, self), self._write)
        except Exception as error:  # within the answer: a stream that broke
            errors.failure(error)
        finally:
            self._task, self.on_response = None, _nothing
            if not self.response_complete:
                self.transport.close()

    def leave(self) -> None:
        """Cancel the work for a client that is gone."""
        if self._task is not None:
            self._task.cancel()

    def arrived(self) -> bytes | None:
        """Return the whole body, if it is there."""
        return None if self.more_body else bytes(self.body)

    async def _write(self, response: Response) -> None:
        self._task = None
        if type(response) is not Response:  # a stream
            await response(cast(Scope, self.scope), cast(Receive, self.receive), cast(Send, self.send))
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write_whole(response)

    def _write_whole(self, response: Response) -> None:
        """Send head and body at once."""
        self.transport.write(self._head(response) + response.body)
        self.response_started = self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            if self.more_body:
                self._linger()
            else:
                self.transport.close()
        self.on_response()

    def _head(self, response: Response) -> bytes:
        headers = [*self.default_headers, *response.raw_headers]
        if b"connection" in dict(headers):  # which says nothing but "close" here
            self.keep_alive = False
        elif not self.keep_alive:
            headers.append((b"connection", b"close"))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        return STATUS_LINE[response.status_code] + lines + b"\r\n"


def _nothing() -> None:
    """Stand in for what follows an answer, so that no circle of references keeps the connection."""
