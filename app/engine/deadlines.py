"""Fails requests whose time is over, with one timer of the event loop for all of them.

A timer each would be set and cancelled for nearly every request, which costs as much as queueing it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from app.engine.pending import PendingRequest

TICK_S = 0.01  # that a deadline may be noticed late


class Deadlines:
    """Requests by the tick in which their time ends.

    Args:
        clock: seconds; monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[int, dict[PendingRequest, None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0  # the first tick that was not looked at

    def add(self, pending: PendingRequest, deadline_s: float) -> int:
        """Watch a request; returns what `remove` takes."""
        tick = math.ceil(deadline_s / TICK_S)
        if self._timer is None:
            self._next = math.floor(self._clock() / TICK_S)
            self._wait()
        tick = max(tick, self._next)
        if (together := self._due.get(tick)) is None:
            together = self._due[tick] = {}
        together[pending] = None
        return tick

    def remove(self, pending: PendingRequest, tick: int) -> None:
        """Forget a request that was watched, in time or not."""
        if together := self._due.get(tick):
            together.pop(pending, None)
            if not together:
                del self._due[tick]

    @property
    def is_ticking(self) -> bool:
        """Somebody is watched, or was a moment ago."""
        return self._timer is not None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._look)

    def _look(self) -> None:
        self._timer = None
        now = math.floor(self._clock() / TICK_S)
        for tick in range(self._next, now + 1):
            for pending in self._due.pop(tick, ()):
                pending.fail(TimeoutError())
        self._next = max(self._next, now + 1)
        if self._due:
            self._wait()
