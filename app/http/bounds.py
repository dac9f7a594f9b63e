"""How long a client may take for each part of its requests and answers, and how little it may move meanwhile.

    connected -> head -> body -> answer -> idle -> head ...
                  |                |
                  '-> refused      '-> rest of a body that came too late -> lingering -> closed

`app.http.connection` says which part is on; here are the clocks. A client is never waited for without one.
"""

from __future__ import annotations

import array
import asyncio
import select
import socket
import struct
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.http.context import Context
from app.settings import Settings

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # not a POSIX system: what the kernel holds is not known
    ioctl = None  # type: ignore[assignment]

LINGER_S, LINGER_BYTES = 2.0, 64 << 20  # for a client that sends more than it should
SLOWEST_BYTES_PER_S = 1024  # at which an answer is read; TCP tells of progress in steps of up to 64 KiB
LOOK_S = 0.05  # between looks at a client that may have left, where reading would not tell
_AT_ONCE = struct.pack("ii", 1, 0)  # of SO_LINGER
_GONE = getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
_SENT_ALL = getattr(select, "POLLRDHUP", 0)  # of Linux


class Bounded(HttpToolsProtocol):
    """uvicorn's connection, with its clocks.

    Attributes:
        context: of the app.
        settings: name the times.
    """

    context: Context
    settings: Settings

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._lingered: int | None = None  # bytes that came after the last answer; None before it

    def start(self, phase: str, seconds: float, then: Any, *arguments: Any) -> None:
        """Begin the clock of a phase, unless it runs."""
        if phase not in self._timers:
            self._timers[phase] = self.loop.call_later(seconds, self._ring, phase, then, *arguments)

    def stop(self, phase: str) -> None:
        """Stop the clock of a phase, if it runs."""
        if (timer := self._timers.pop(phase, None)) is not None:
            timer.cancel()

    def _ring(self, phase: str, then: Any, *arguments: Any) -> None:
        del self._timers[phase]
        then(*arguments)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.context.descriptors.take(self._socket().fileno(), self.connections)  # type: ignore[arg-type]  # ours

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # uvicorn keeps it after a reset
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self.stop("answer")

    def _watch_reader(self) -> None:
        """Leave a client that reads its answer more slowly than anybody would wait for."""
        timeout_s = self.settings.answer_timeout_s
        self.start("answer", timeout_s, self._leave_unless_read, self._unread_bytes())

    def _leave_unless_read(self, before: int) -> None:
        due = min(before, int(SLOWEST_BYTES_PER_S * self.settings.answer_timeout_s))
        if before - self._unread_bytes() < due:
            self.reset()
        else:
            self._watch_reader()

    def _unread_bytes(self) -> int:
        """What was written and has not reached the client's system: here, and in the kernel."""
        here = self.transport.get_write_buffer_size()
        if ioctl is None:
            return here
        queued = array.array("i", [0])
        ioctl(self._socket().fileno(), TIOCOUTQ, queued)
        return here + queued[0]

    def timeout_keep_alive_handler(self) -> None:
        if self.transport.get_write_buffer_size():  # closing would wait for it to be read
            self.reset()
        super().timeout_keep_alive_handler()

    def close(self) -> None:
        """Close, when the client has read what was written; within the time for that."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            self._watch_reader()

    def waits_since(self) -> float | None:
        """The loop's time since when the client is waited for; None at work on an answer, and at the end."""
        if self.transport.is_closing():
            return None
        if (idle := self.timeout_keep_alive_task) is not None:
            return idle.when() - self.timeout_keep_alive
        timeouts = {
            "head": self.settings.head_timeout_s,
            "body": self.settings.body_timeout_s,
            "answer": self.settings.answer_timeout_s,
            "linger": LINGER_S,
        }
        waits = [self._timers[phase].when() - timeouts[phase] for phase in timeouts if phase in self._timers]
        if not waits and self.cycle is not None and self.cycle.more_body and not self.flow.read_paused:
            return self.loop.time()  # a body on its way: after all others
        return min(waits, default=None)

    def give_up(self) -> None:
        """Leave a client that is waited for."""
        if self.transport.get_write_buffer_size():  # closing would wait for it to be read
            self.reset()
        else:
            self.transport.close()

    def reset(self) -> None:
        """Close at once, or the system would keep for minutes what it has for the client: megabytes."""
        self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()

    def linger(self) -> None:
        """Read and drop for a moment what the client still sends, and then close.

        Closed at once, its system would be told of a reset, and might throw away the answer that says why.
        """
        self._lingered = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.start("linger", LINGER_S, self.close)

    def drop(self, size: int) -> None:
        """Count what came after the last answer."""
        self._lingered = (self._lingered or 0) + size
        if self._lingered > LINGER_BYTES:
            self.close()

    def refuse(self, status: int, why: bytes) -> None:
        """Answer what is no request, and close."""
        if self.transport.is_closing():
            return
        head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(why)
        self.transport.write(STATUS_LINE[status] + head + why)
        self.linger()

    def has_left(self) -> bool:
        """The client is gone, though no read has told so."""
        return bool(self._events() & _GONE)

    def has_sent_all(self) -> bool:
        """Nothing will come behind what was not read yet: the client has left, or waits for its answers."""
        return bool(self._events() & _SENT_ALL)

    def _events(self) -> int:
        poll = select.poll()
        poll.register(self._socket().fileno(), _SENT_ALL)
        return next((events for _, events in poll.poll(0)), 0)

    def _socket(self) -> socket.socket:
        return cast(socket.socket, self.transport.get_extra_info("socket"))
