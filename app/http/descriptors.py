"""Room for new connections when the system gives this process no more descriptors.

Every connection takes one. Without any left nobody is let in, not even who asks after the server's health:
the event loop drops who comes, without a word. So some are kept free: when they are touched, those clients
are left that have been waited for longest, and the log says so.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from app.shared.descriptors import limit_of_descriptors

RESERVE, MOST_RESERVE = 4, 1024  # kept free: one in so many, but no more than that
SHARE = 16  # one in so many waiting clients is left at once, so that few looks at all of them are needed
AGAIN_S = 60.0  # between lines of the log
WAY_OUT = "raise `ulimit -n` (LimitNOFILE of systemd, ulimits of compose), or lower ENCODERY_KEEP_ALIVE_S"

log = structlog.get_logger("encodery")


class Waiting(Protocol):
    """What is used of a connection."""

    def waits_since(self) -> float | None:
        """The moment since when its client is waited for, in any unit; None while the server is at work."""
        ...

    def give_up(self) -> None:
        """Close it."""
        ...


class Descriptors:
    """Keeps some of the descriptors of this process free.

    Args:
        limit: how many there are; by default what the system says.
        clock: seconds; monotonic.
    """

    def __init__(self, limit: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit_of_descriptors() if limit is None else limit
        self._clock, self._told_s = clock, -math.inf
        self._closed = self._lost = 0  # connections, since the log told of them

    def take(self, number: int, connections: Iterable[Waiting]) -> None:
        """Make room if a new connection's descriptor is one of the last.

        The system gives the lowest that is free, so that its number tells how many are in use.
        """
        if self._limit is None or number < self._limit - min(self._limit // RESERVE, MOST_RESERVE):
            return
        waiting = {one: since for one in connections if (since := one.waits_since()) is not None}
        leaving = heapq.nsmallest(-(-len(waiting) // SHARE), waiting, key=lambda one: waiting[one])
        for connection in leaving:
            connection.give_up()
        self._closed += len(leaving)
        self._lost += not leaving
        self._tell()

    def _tell(self) -> None:
        now_s = self._clock()
        if now_s < self._told_s + AGAIN_S:
            return
        self._told_s = now_s
        log.warning(
            "descriptors run out: the connections that waited longest are closed",
            limit=self._limit,
            closed=self._closed,
            without_any_that_waits=self._lost,
            way_out=WAY_OUT,
        )
        self._closed = self._lost = 0
