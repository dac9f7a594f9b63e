"""A client's connection: uvicorn's, which answers the hot routes itself.

uvicorn turns a request into a scope, a task and two to four messages of ASGI, and each layer of the app into
coroutines and closures around these: more CPU time than all the rest of a request for a small encoder. A hot
route needs none of it: its function is called with the request, and its answer goes out in one write. All
other requests go uvicorn's way, and so do the hot ones under another server, to the same functions.

    bytes -> httptools -> on_headers_complete -> Exchange (hot) | RequestResponseCycle (all others)

Pipelining, keep-alive, flow control and chunked bodies stay uvicorn's: an Exchange is one of its cycles.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, cast

from fastapi import Response
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.engine import Draining
from app.http import observed
from app.http.context import Context
from app.http.head import fault_of, refusal
from app.http.hot import CLIENT_LEFT, HotPaths, HotRoute
from app.http.request import DirectRequest
from app.shared.log import REQUEST_ID


class Connection(HttpToolsProtocol):
    """What uvicorn makes for every client that connects; its app has the hot routes as `hot`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._hot: HotPaths = config.app.hot  # type: ignore[union-attr]  # app.main makes it
        self._context = self._hot.context

    def on_headers_complete(self) -> None:
        path, _, query = self.url.partition(b"?")
        route = self._hot.find(self.parser.get_method(), path)
        if route is None or self.parser.should_upgrade():
            super().on_headers_complete()
            return
        version, before = self.parser.get_http_version(), self.cycle
        scope = cast(dict[str, Any], self.scope)
        scope |= {"method": "POST", "path": route.path, "raw_path": path, "query_string": query}
        scope["http_version"] = version
        self.cycle = Exchange(
            route,
            self._context,
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # of requests that are sent without waiting for answers, one is in work at a time
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if isinstance(self.cycle, Exchange):
            self.cycle.leave()


class Exchange(RequestResponseCycle):
    """A request to a hot route, and its answer.

    Args:
        route: which.
        context: of the app.
        cycle: what uvicorn's cycle takes.
    """

    def __init__(self, route: HotRoute, context: Context, **cycle: Any) -> None:
        super().__init__(**cycle)
        self._route, self._context = route, context
        self._headers = cast(list[tuple[bytes, bytes]], self.scope["headers"])
        self._task: asyncio.Task[Any] | None = None  # while the route works

    async def run_asgi(self, app: object) -> None:
        """Answer, whatever happens; under the name by which uvicorn starts a cycle."""
        started_s = time.perf_counter()
        request_id = observed.id_of(self._headers)
        REQUEST_ID.set(request_id.decode())
        response = await self._respond()
        response.raw_headers.append((observed.HEADER, request_id))
        if type(response) is Response:
            await self._write(response)
        else:  # a stream
            await response(cast(Scope, self.scope), cast(Receive, self.receive), cast(Send, self.send))
        self.on_response = _nothing
        observed.record(
            self._context.metrics,
            self._route.path,
            "POST",
            response.status_code,
            time.perf_counter() - started_s,
        )

    def leave(self) -> None:
        """The client is gone: so is the use of the work for it."""
        if self._task is not None:
            self._task.cancel()

    def arrived(self) -> bytes | None:
        """The whole body, if it is there."""
        return None if self.more_body else bytes(self.body)

    async def _respond(self) -> Response:
        if fault := fault_of(self._headers, self.scope["http_version"]):
            return refusal(fault)
        self._task = asyncio.current_task()
        try:
            request = DirectRequest(cast(Scope, self.scope), cast(Receive, self.receive), self.arrived)
            response = await self._route.respond(self._context, request)
            values = b"".join([value for _, value in response.raw_headers])
            if b"\n" in values or b"\r" in values:
                raise ValueError("a line break in a header")
            return response
        except asyncio.CancelledError:
            if self.disconnected:
                return Response(status_code=CLIENT_LEFT)
            return self._route.error(Draining())  # uvicorn waits no longer
        except BaseException as error:  # what native code throws must not end a connection without an answer
            return self._route.error(error)
        finally:
            self._task = None

    async def _write(self, response: Response) -> None:
        """The whole answer at once."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.transport.write(self._head(response) + response.body)
        self.response_started = self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
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
    """After the answer; breaks the circle of references to the connection."""
