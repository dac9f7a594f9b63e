"""From the bytes of a client to requests: read in one way only, bounded, and no further than they are wanted.

    bytes -> pieces -> httptools -> take(head) -> on_body ... -> on_message_complete

httptools refuses most of what could be read in two ways; what it lets through is refused here, or, where it
leaves no doubt where a request ends, by `app.http.head`. Bytes are parsed only as far as the next request
behind the one in work, so that a client that sends many at once fills no memory with them.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from app.http.bounds import LOOK_S, Bounded
from app.http.errors import MalformedRequest
from app.http.exchange import Exchange
from app.http.head import MAX_HEADERS

HEAD_BYTES = 32 * 1024  # of a head that is not complete; `app.http.head` bounds those that are
FRAMING_BYTES = 16 * 1024  # of a chunked body, what is neither body nor the size of a chunk
CHUNK_FRAMING = 8  # bytes that say how long a chunk is, or fewer; a byte may come in a chunk of its own
PIECE = 1024  # bytes that are parsed at once: few requests fit into them
TURN_BYTES = 64 * 1024  # from one client in a turn of the event loop
_NO_TRAILERS = frozenset({b"connection", b"content-length", b"proxy-connection", b"transfer-encoding"})


class Reading(Bounded):
    """uvicorn's connection, as far as its parser."""

    cycle: Exchange  # the last that was parsed

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._unparsed: bytes | None = None  # what came while a request waited behind the one in work
        self._is_in_head, self._head_bytes = False, 0
        self._message_bytes = self._body_bytes = self._bytes_at_body = 0  # behind the last head

    def take(self, expects_leave: bool, keeps_alive: bool) -> None:
        """Begin the request whose head is in `scope`."""
        raise NotImplementedError

    def look(self) -> None:
        """See whether the client, which is not read from, is still there."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as it is wanted."""
        if self._lingered is not None:
            self.drop(len(data))
            return
        if self._unparsed is not None:  # it came before reading was paused
            self._unparsed += data
            return
        self._unset_keepalive_if_required()
        if len(data) > TURN_BYTES:  # it may be a lot of work; then it is the others' turn
            self.flow.pause_reading()
            self.loop.call_soon(self.read_on)
        self.parse(data)

    def read_on(self) -> None:
        """Read again, unless there is another reason not to."""
        cycle = self.cycle
        if self._unparsed is None and (
            cycle is None or cycle.response_complete or len(cycle.body) <= HIGH_WATER_LIMIT
        ):
            self.flow.resume_reading()

    def parse(self, data: bytes) -> None:
        """Feed the parser. An offer to upgrade is ignored: its request is parsed again without the offer.

        httptools ends such a request with its head, and would read its body as the next request.
        """
        at, size = 0, len(data)
        while at < size and self._lingered is None:
            if self.pipeline:
                self._unparsed = data[at:]
                self._pause()
                return
            if self._is_last:
                self.drop(size - at)
                return
            piece = data if size <= PIECE else data[at : at + max(PIECE, self._missing)]
            at += len(piece)
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:
                data, at = self._head_without_offer() + piece[offer.args[0] :] + data[at:], 0
                size = len(data)
                self.parser = _parser_for(self)  # the old one takes what follows for another request
            except httptools.HttpParserError:
                self._fail(400, "this is no HTTP/1.1, or could be read in two ways")
            else:
                self._bound(len(piece))

    @property
    def _is_last(self) -> bool:
        """The last request that came asked to close the connection, or has to."""
        cycle = self.cycle
        return not (cycle is None or cycle.keep_alive or cycle.more_body or self._is_in_head)

    @property
    def _missing(self) -> int:
        """Bytes that have to come of a body with a length; 0 where another request may come earlier."""
        if self._is_in_head or self.cycle is None or not self.cycle.more_body:
            return 0
        length = dict(self.cycle.scope["headers"]).get(b"content-length", b"0")
        return int(length) - self._body_bytes

    def _wait(self) -> None:
        """Start the clock of what has to come next, if nothing is in work."""
        cycle = self.cycle
        if not (self._is_in_head or cycle is None or cycle.response_complete):
            return
        if self._lingered is not None or self.transport.is_closing():
            return
        if cycle is not None and cycle.more_body and not self._is_in_head:  # a body that is dropped
            self.start("body", self.settings.body_timeout_s, self.close)
        elif self._is_in_head or self.timeout_keep_alive_task is None:  # or no request: an empty line
            self.start("head", self.settings.head_timeout_s, self._give_up_head)

    def _give_up_head(self) -> None:
        if self._is_in_head:
            self._fail(408, "the head did not arrive")
        else:
            self.close()

    def _bound(self, size: int) -> None:
        """Refuse what is more than any head, or the framing of any body, needs."""
        if self._is_in_head:
            self._head_bytes += size
            if self._head_bytes > HEAD_BYTES or len(self.headers) > 2 * MAX_HEADERS:
                self._fail(431, "the head is too large")
        elif self.cycle is not None and self.cycle.more_body:
            self._message_bytes += size
            framing = self._message_bytes - (1 + CHUNK_FRAMING) * self._body_bytes
            if max(framing, self._message_bytes - self._bytes_at_body) > FRAMING_BYTES:
                self._fail(400, "there is more around the chunks of the body than in them")

    def _fail(self, status: int, why: str) -> None:
        """Close after an answer that says why; others that are in work are finished before."""
        cycle, is_body = self.cycle, not self._is_in_head and self.cycle is not None and self.cycle.more_body
        if cycle is not None and not cycle.response_complete:
            self._lingered, cycle.keep_alive = 0, False
            if is_body:
                cycle.spoil(MalformedRequest(why, code="invalid_framing"))
        elif is_body:  # was answered, and is dropped
            self.close()
        else:
            self.refuse(status, why.encode())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head. One behind the body is dropped, or refused where it would change it."""
        name = name.lower()
        if self._is_in_head:
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
        elif name in _NO_TRAILERS:
            raise ValueError("a trailer that frames a message")

    def on_headers_complete(self) -> None:
        parser, method = self.parser, self.parser.get_method()
        if parser.should_upgrade():
            if method == b"CONNECT":  # an upgrade by itself, without an offer that could be left out
                raise ValueError("this is no proxy")
            return
        scope, version = cast(dict[str, Any], self.scope), parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise ValueError("another version of HTTP")
        self._is_in_head = False
        if self._timers:
            self.stop("head")
        self._message_bytes = self._body_bytes = self._bytes_at_body = 0
        scope["raw_path"], scope["query_string"] = _target(self.url, method)
        path = scope["raw_path"].decode("ascii")
        scope["method"], scope["http_version"] = method.decode("ascii"), version
        scope["path"] = urllib.parse.unquote(path) if "%" in path else path
        self.take(
            expects_leave=self.expect_100_continue and version != "1.0",
            keeps_alive=version != "1.0" and parser.should_keep_alive(),
        )

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._bytes_at_body = self._message_bytes + len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self._pause()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # its message is still to come
        self.cycle.more_body = False
        if self._timers:
            self.stop("body")
        if not self.cycle.response_complete:
            self.cycle.message_event.set()

    def _pause(self) -> None:
        """Read no more for now; a client that leaves meanwhile is looked for."""
        self.flow.pause_reading()
        self.start("look", LOOK_S, self.look)

    def _head_without_offer(self) -> bytes:
        """Write the head that was just parsed, without `Upgrade`: `Connection` alone offers nothing."""
        start = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        lines = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([start, *lines, b"", b""])


def _target(url: bytes, method: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, which may be a whole URL. Raises ValueError for others."""
    if url == b"*" and method == b"OPTIONS":
        return url, b""
    if not url.startswith(b"/"):
        parsed = httptools.parse_url(url)
        if parsed.schema.lower() not in (b"http", b"https") or not parsed.host or parsed.userinfo:
            raise ValueError("a target of another sort")
        url = (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")
    if b"#" in url:
        raise ValueError("a fragment is not sent")
    path, _, query = url.partition(b"?")
    return path, query


def _parser_for(connection: Reading) -> httptools.HttpRequestParser:
    """Make the parser that uvicorn makes."""
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # requests behind the last are ignored
    return parser
