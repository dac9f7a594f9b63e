"""Room for the bodies of requests: how many bytes of them this process holds at once, over all connections.

A body counts as it arrives, until the answer to its request is made: what is made of it is held as long. What
a head announces takes no room, or whoever announces much and sends nothing would shut out the others. For the
same reason a body that is still on its way gives its room up when others need it: the one that takes longest
first, since who is slow on purpose is slower than anybody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.types import Scope

from app.http.errors import NoRoom

SLOW_S = 1.0  # on its way for longer, a body gives up its room
_TAKEN = "encodery.body_bytes"  # in a request's scope


@dataclass(eq=False, slots=True)
class Arriving:
    """A body on its way.

    Attributes:
        give_up: ends the wait for the rest of it.
        is_given_up: others needed its room.
    """

    scope: Scope
    since_s: float
    give_up: Callable[[], None]
    is_given_up: bool = False


class Room:
    """Counts the bytes.

    Args:
        limit: how many there may be; one request alone may have more.
        clock: seconds; monotonic.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._taken, self._clock = limit, 0, clock
        self._arriving: dict[Arriving, None] = {}  # the oldest first

    @property
    def taken(self) -> int:
        """Bytes that are held now."""
        return self._taken

    def check(self, scope: Scope, size: int) -> None:
        """Raise NoRoom if so much more has no room beside what others hold."""
        others = self._taken - scope.get(_TAKEN, 0)
        if others and self._taken + size > self._limit and not self._make(size, scope):
            raise NoRoom(
                f"the bodies of other requests take the {self._limit} bytes that this server has for them "
                "(ENCODERY_MAX_BODIES_BYTES); try again",
                code="overloaded",
            )

    def take(self, scope: Scope, size: int) -> None:
        """Count what arrived of a request's body. Raises NoRoom."""
        if self._taken + size > self._limit:
            self.check(scope, size)
        scope[_TAKEN] = scope.get(_TAKEN, 0) + size
        self._taken += size

    @contextmanager
    def arriving(self, scope: Scope, give_up: Callable[[], None]) -> Iterator[Arriving]:
        """While a body is on its way: `give_up` ends the wait for it, when its room is needed."""
        this = Arriving(scope, self._clock(), give_up)
        self._arriving[this] = None
        try:
            yield this
        finally:
            self._arriving.pop(this, None)

    def _make(self, size: int, scope: Scope) -> bool:
        """Let slow bodies go until there is room for so much more; none, if that is not enough."""
        missing, leaving = self._taken + size - self._limit, list[Arriving]()
        for one in self._arriving:
            if missing <= 0 or self._clock() - one.since_s < SLOW_S:
                break
            if one.scope is not scope:
                missing -= one.scope.get(_TAKEN, 0)
                leaving.append(one)
        if missing > 0:
            return False
        for one in leaving:
            del self._arriving[one]
            one.is_given_up = True
            one.give_up()
            self.leave(one.scope)
        return True

    def leave(self, scope: Scope) -> None:
        """Give back what a request held."""
        self._taken -= scope.pop(_TAKEN, 0)
