"""Ends a process whose event loop stands still, so that whoever started it starts it again.

For a process that serves alone: of several, the supervisor kills the one that is silent. A thread says in the
log what it ends for. Where even that cannot run, since native code keeps Python's lock, a timer of
`faulthandler` ends the process, and writes where each thread stands.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

import structlog

POLL_S = 0.1
MORE_S = 1.0  # over the limit, before the timer: the thread comes first where it can

log = structlog.get_logger("encodery")


class Watchdog:
    """Wants to hear a beat of the event loop within the limit.

    Args:
        limit_s: of silence.
        end: ends the process; never returns.
    """

    def __init__(self, limit_s: float, end: Callable[[int], object] = os._exit) -> None:
        self._limit_s, self._end = limit_s, end
        self._beat_s = time.monotonic()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin; the first beat is now."""
        self.beat()
        self._arm()  # at once: Python's lock may be lost before the thread first runs
        self._thread.start()

    def beat(self) -> None:
        """Say that the event loop turns."""
        self._beat_s = time.monotonic()

    def close(self) -> None:
        """Watch no more."""
        self._is_over.set()
        self._thread.join()

    def _arm(self) -> None:
        faulthandler.dump_traceback_later(self._limit_s + MORE_S, exit=True)

    def _watch(self) -> None:
        looked_s = time.monotonic()
        while not self._is_over.wait(POLL_S):
            self._arm()
            before_s, looked_s = looked_s, time.monotonic()
            if looked_s - before_s > self._limit_s / 2:  # the whole process did, as in a container paused
                self.beat()
            if looked_s - self._beat_s > self._limit_s:
                log.error("the event loop stands still: ending, to be started again", limit_s=self._limit_s)
                faulthandler.dump_traceback(sys.stderr)
                self._end(1)
        faulthandler.cancel_dump_traceback_later()
