"""A client's connection: uvicorn's, which hands every request to the pipeline itself, below ASGI.

uvicorn turns a request into a task and two to four messages of ASGI, and the layers of an ASGI application
into coroutines around these: more CPU time than all the rest of a request for a small encoder. Here the
request is given to the pipeline as it was read, and its answer goes out in one write.

    bytes -> httptools -> on_headers_complete -> Exchange -> app.http.pipeline -> one write

Pipelining, keep-alive, flow control and chunked bodies stay uvicorn's: an Exchange is one of its cycles.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from app.http.application import Application
from app.http.exchange import Exchange

LINGER_S, LINGER_BYTES = 2.0, 64 << 20  # for a client that sends more than it should
MAX_TRAILERS = 64  # headers behind a body; nobody reads them
HEAD_BYTES = 64 * 1024  # of a head that is not complete; `app.http.head` bounds those that are


class Connection(HttpToolsProtocol):
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
        self._table, self._context, self._settings = app.table, app.context, app.context.settings
        self._is_in_head, self._head_bytes = False, 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._rest_bytes = 0
        self._dropped: int | None = None  # bytes that came after the last answer; None before it

    def data_received(self, data: bytes) -> None:
        """Parse what came. An offer to upgrade is ignored: its request is parsed again without the offer.

        httptools ends such a request with its head, and would read its body as the next request.
        """
        if self._dropped is not None:
            self._drop(data)
            return
        self._unset_keepalive_if_required()
        received = len(data)
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as offer:
                data = self._head_without_offer() + data[offer.args[0] :]
                self.parser = _parser_for(self)  # the old one takes what follows for another request
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
                return
        if self._is_in_head:
            self._wait_for_head(received)
        elif self._is_idle:  # what came was no request, such as an empty line
            self._wait_for_head(0)
        elif self.cycle.response_complete:
            self._wait_for_rest(received)
        elif len(self.headers) > MAX_TRAILERS:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, -1  # its first packet may hold much before it

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        parser, method = self.parser, self.parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":  # an upgrade by itself, without an offer that could be left out
                raise ValueError("this is no proxy")
            return
        scope, version, before = cast(dict[str, Any], self.scope), parser.get_http_version(), self.cycle
        scope["raw_path"], scope["query_string"] = _target(self.url)
        path = scope["raw_path"].decode("ascii")
        scope["method"], scope["http_version"] = method.decode("ascii"), version
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        self.headers = []  # what comes behind a body is no part of the head, whatever it is called
        self.cycle = Exchange(
            self._table,
            self._context,
            self.linger,
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # of requests that are sent without waiting for answers, one is in work at a time
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # its message is still to come
        self.cycle.more_body = False
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None
        if not self.cycle.response_complete:
            self.cycle.message_event.set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait_for_head(0)

    def _wait_for_head(self, received: int) -> None:
        """Bound the time and the bytes of a head that is not complete."""
        if self._head_timer is None:
            timeout_s = self._settings.head_timeout_s
            self._head_timer = self.loop.call_later(timeout_s, self._give_up, 408, b"the head did not arrive")
        self._head_bytes = 0 if self._head_bytes < 0 else self._head_bytes + received
        if self._head_bytes > HEAD_BYTES:
            self._give_up(431, b"the head is too large")

    def _wait_for_rest(self, received: int) -> None:
        """Bound the time and the bytes of a body that comes after its answer, and is dropped."""
        if self._rest_timer is None:
            self._rest_bytes = 0
            timeout_s = self._settings.body_timeout_s
            self._rest_timer = self.loop.call_later(timeout_s, self.transport.close)
        self._rest_bytes += received
        if self._rest_bytes > LINGER_BYTES:
            self.transport.close()

    @property
    def _is_idle(self) -> bool:
        """Every request that came was answered."""
        return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; `msg` is uvicorn's."""
        self._is_in_head = True  # or it would have to be a request in work
        self._give_up(400, msg.encode())

    def _give_up(self, status: int, why: bytes) -> None:
        """Close, with a word to who has sent a part of a head; after the answers that others wait for."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
            self._dropped = 0
        elif self._is_in_head:
            head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(why)
            self.transport.write(STATUS_LINE[status] + head + why)
            self.linger()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_answer(self.transport.get_write_buffer_size() + 1)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _watch_answer(self, before: int) -> None:
        """Leave a client that reads nothing of its answer for a while."""
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
            return
        timeout_s = self._settings.answer_timeout_s
        self._answer_timer = self.loop.call_later(timeout_s, self._watch_answer, left)

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # closing would wait for it to be read
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def linger(self) -> None:
        """Read and drop for a moment what the client still sends, and then close.

        Closed at once, its system would be told of a reset, and might throw away the answer that says why.
        """
        self._dropped = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _drop(self, data: bytes) -> None:
        assert self._dropped is not None
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head_timer, self._answer_timer, self._rest_timer):
            if timer is not None:
                timer.cancel()
        if self.cycle is not None:
            cast(Exchange, self.cycle).leave()

    def _head_without_offer(self) -> bytes:
        """Write the head that was just parsed, without `Upgrade`: `Connection` alone offers nothing."""
        start = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        lines = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([start, *lines, b"", b""])


def _target(url: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, which may be a whole URL."""
    if url.startswith(b"/") and b"#" not in url:
        path, _, query = url.partition(b"?")
        return path, query
    parsed = httptools.parse_url(url)
    return parsed.path or b"/", parsed.query or b""


def _parser_for(connection: Connection) -> httptools.HttpRequestParser:
    """Make the parser that uvicorn makes."""
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # requests behind the last are ignored
    return parser
