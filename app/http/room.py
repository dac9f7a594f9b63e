"""Room for the bodies of requests: how many bytes of them this process holds at once, over all connections.

A body counts as it arrives, until the answer to its request is made: what is made of it is held as long. What
a head announces takes no room, or whoever announces much and sends nothing would shut out the others.
"""

from __future__ import annotations

from starlette.types import Scope

from app.http.errors import NoRoom

_TAKEN = "encodery.body_bytes"  # in a request's scope


class Room:
    """Counts the bytes.

    Args:
        limit: how many there may be; one request alone may have more.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._taken = limit, 0

    @property
    def taken(self) -> int:
        """Bytes that are held now."""
        return self._taken

    def check(self, scope: Scope, size: int) -> None:
        """Raise NoRoom if so much more has no room beside what others hold."""
        others = self._taken - scope.get(_TAKEN, 0)
        if others and self._taken + size > self._limit:
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

    def leave(self, scope: Scope) -> None:
        """Give back what a request held."""
        self._taken -= scope.pop(_TAKEN, 0)
