"""A client's connection: uvicorn's, which hands every request to the pipeline itself, below ASGI.

uvicorn turns a request into a task and two to four messages of ASGI, and the layers of an ASGI application
into coroutines around these: more CPU time than all the rest of a request for a small encoder. Here the
request is given to the pipeline as it was read, and its answer goes out in one write.

    bytes -> app.http.reading -> take -> Exchange -> app.http.pipeline -> one write

Keep-alive and flow control stay uvicorn's: an Exchange is one of its cycles. Requests that a client sends
without waiting for answers are answered one by one.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.http.application import Application
from app.http.bounds import LOOK_S
from app.http.errors import MalformedRequest
from app.http.exchange import Exchange
from app.http.reading import Reading


class Connection(Reading):
    """What uvicorn makes for every client that connects.

    Args:
        app: whose pipeline answers.
        config, server_state, app_state, _loop: what uvicorn gives.
    """

    def __init__(
        self,
        app: Application,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._table, self.context, self.settings = app.table, app.context, app.context.settings
        self._in_work: Exchange | None = None
        self._new: Exchange | None = None  # the same, as long as what came with its head is parsed
        self._has_ended = False  # the client sends no more

    def take(self, expects_leave: bool, keeps_alive: bool) -> None:
        """Begin an exchange, or let it wait for those before it."""
        self.context.proxies.apply(cast(Scope, self.scope))
        self.cycle = Exchange(
            self._table,
            self.context,
            self.read_on,
            self.end,
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects_leave,
            keep_alive=keeps_alive,
            on_response=self.on_response_complete,
        )
        if self._in_work is None:
            self._in_work = self._new = self.cycle
        else:  # of requests that are sent without waiting for answers, one is in work at a time
            self.pipeline.appendleft((self.cycle, self.app))

    def on_response_complete(self) -> None:
        """Go on with what came meanwhile, or wait for more."""
        self.server_state.total_requests += 1
        self._in_work = None
        if self.transport.is_closing():
            return
        if self._has_ended and self.has_left():
            self.transport.abort()
            return
        if self.pipeline:
            self._begin(cast(Exchange, self.pipeline.pop()[0]))
        if self._unparsed is not None and not self.pipeline:
            self._parse_rest()
        if self._in_work is not None or self._lingered is not None:
            return
        if self._has_ended:
            self.close()
            return
        self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _parse_rest(self) -> None:
        """Go on with what waited to be parsed."""
        data, self._unparsed = self._unparsed or b"", None
        self.parse(data)
        self.read_on()
        if self._has_ended and not self._is_owed():
            self.close()

    def parse(self, data: bytes) -> None:
        """Feed the parser, and begin the request whose head came, with as much of its body as came, too."""
        super().parse(data)
        if self._new is not None:
            exchange, self._new = self._new, None
            self._begin(exchange)
        self._wait()

    def _begin(self, exchange: Exchange) -> None:
        self._in_work = exchange
        is_last = not self.pipeline and self._unparsed is None  # else those behind it would begin within it
        if is_last and exchange.refuse():
            return
        task = exchange.start()
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        if self._has_ended or self.flow.read_paused:
            self.start("look", LOOK_S, self.look)

    def end(self) -> None:
        """Close after an answer, whatever the client sent behind its request, or is still sending."""
        self.pipeline.clear()
        self._unparsed = None
        if self._has_ended or self.transport.is_closing():
            self.close()
        else:
            self.linger()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's always closes
        """Answer what came whole before the client ended; True keeps the connection for that."""
        self._has_ended = True
        if not (self.transport.can_write_eof() and self._is_owed()):  # TLS has no half of an end
            return False
        self.start("look", LOOK_S, self.look)
        return True

    def _is_owed(self) -> bool:
        """The client, which sends no more, waits for an answer to a request that came whole."""
        if self._in_work is None:
            return False
        if self._unparsed is None and self.cycle.more_body:
            if self.cycle is self._in_work:
                return False
            self.cycle.spoil(MalformedRequest("the body has no end", code="invalid_framing"))
        return True

    def look(self) -> None:
        """End the work for a client that is gone: no read would tell."""
        exchange = self._in_work
        if exchange is None or not (self._has_ended or self.flow.read_paused) or self.transport.is_closing():
            return
        if self.has_left():
            self.transport.abort()
            return
        if self._has_ended or self.has_sent_all():
            exchange.probe()
        self.start("look", 4 * LOOK_S, self.look)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.pipeline.clear()
        self._unparsed = None
        if self._in_work is not None:
            self._in_work.leave()
