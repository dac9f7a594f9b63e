"""A request on one of our connections, and its answer, which goes out in one write: a cycle of uvicorn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, cast

from fastapi import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.http import errors
from app.http.context import Context
from app.http.errors import MalformedRequest
from app.http.pipeline import Handling
from app.http.request import DirectRequest
from app.http.routes import Routes

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange(RequestResponseCycle):
    """A request, and its answer.

    Args:
        table: finds the route.
        context: the parts of the app.
        read_on: lets more of the body come.
        end: closes the connection.
        cycle: what uvicorn's cycle takes.
    """

    _spoiled: MalformedRequest | None = None
    _is_probed = False

    def __init__(
        self,
        table: Routes,
        context: Context,
        read_on: Callable[[], None],
        end: Callable[[], None],
        **cycle: Any,
    ) -> None:
        super().__init__(**cycle)
        self._table, self._context = table, context
        self._read_on, self._end = read_on, end
        self._task: asyncio.Task[Any] | None = None  # until the answer is written
        self._passed: Handling | None = None  # the request, when it has passed the checks
        self._variables = copy_context()

    def refuse(self) -> bool:
        """Answer at once if the request gets no further than the checks; tell whether it was."""
        if self.flow.write_paused or self.disconnected:
            return False
        response = self._variables.run(self._refused)
        if response is None:
            return False
        self._write_whole(response)
        return True

    def _refused(self) -> Response | None:
        handling = self._handle()
        if (response := handling.refuse()) is None:
            self._passed = handling
        else:
            handling.record(response.status_code)
        return response

    def start(self) -> asyncio.Task[None]:
        """Answer on a task of its own."""
        return asyncio.get_running_loop().create_task(self._run(), context=self._variables)

    def _handle(self) -> Handling:
        scope = cast(Scope, self.scope)
        return Handling(self._context, self._table.find(scope), DirectRequest(scope, self))

    async def _run(self) -> None:
        """Answer, whatever happens."""
        if self.disconnected:
            if self._passed is not None:
                self._passed.leave()
            return
        self._task = asyncio.current_task()
        try:
            if (handling := self._passed) is not None:
                response = await handling.respond()
            else:
                handling = self._handle()
                response = handling.refuse() or await handling.respond()
            try:
                await self._write(response)
            finally:
                handling.record(response.status_code)
        except Exception as error:  # within the answer: a stream that broke
            errors.failure(error)
        finally:
            self._task, self.on_response = None, _nothing
            if not self.response_complete:
                self.transport.close()

    def leave(self) -> None:
        """Cancel the work for a client that is gone."""
        self.disconnected = True
        self.message_event.set()
        if self._task is not None:
            self._task.cancel()

    def arrived(self) -> bytes | None:
        """Return the whole body, if it is there."""
        return None if self.more_body else bytes(self.body)

    async def receive(self) -> Any:
        """Return the next message of ASGI. Raises MalformedRequest where the rest of the body is no HTTP."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(_CONTINUE)
            self.waiting_for_100_continue = False
        if not (self.disconnected or self.response_complete):
            self._read_on()
            await self.message_event.wait()
            self.message_event.clear()
        if self._spoiled is not None:
            raise self._spoiled
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = bytes(self.body), bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def spoil(self, error: MalformedRequest) -> None:
        """Read no more of the body, which goes on in a way that is wrong."""
        self._spoiled, self.keep_alive = error, False
        self.message_event.set()

    def probe(self) -> None:
        """Write what any client takes, and a system whose client has left answers with a reset."""
        is_whole = not (self.more_body or self.response_started)
        if is_whole and self.scope["http_version"] != "1.0" and not self._is_probed:
            self._is_probed = True
            self.transport.write(_CONTINUE)

    async def send(self, message: Any) -> None:
        """As uvicorn does; to HTTP/1.0, which knows no chunks, the body ends with the connection."""
        if self.scope["http_version"] == "1.0":
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            self.keep_alive = self.chunked_encoding = False
            self.expected_content_length = len(message.get("body", b"")) if is_last else sys.maxsize
        await super().send(message)

    async def _write(self, response: Response) -> None:
        if type(response) is not Response:  # a stream, whose work ends when its client leaves
            await response(cast(Scope, self.scope), cast(Receive, self.receive), cast(Send, self.send))
            if not self.keep_alive:
                self._end()
            return
        self._task = None
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
            self._end()
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
