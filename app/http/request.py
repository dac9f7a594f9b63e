"""A request as its connection read it (`app.http.connection`), without a message of ASGI for each part.

To a route it is a `Request` like any other; what costs most there is quicker here: headers are looked up
in a table, a body that has arrived is at hand, and nobody has to watch for a client that leaves, since the
connection cancels the request's task then.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import Scope


class Incoming(Protocol):
    """What a request needs to know of its exchange with the client.

    Attributes:
        disconnected: the client left.
        more_body: a part of the body is missing.
    """

    disconnected: bool
    more_body: bool

    async def receive(self) -> Any:
        """Return the next message of ASGI."""
        ...

    def arrived(self) -> bytes | None:
        """Return the whole body, or None as long as a part of it is missing."""
        ...


class DirectRequest(Request):
    """A request that was read by our own connection.

    Args:
        scope: of ASGI.
        incoming: where the rest of it comes from.
    """

    headers: Headers = Headers()  # in the place of a property, which would look for them every time

    def __init__(self, scope: Scope, incoming: Incoming) -> None:
        super().__init__(scope, incoming.receive)
        self.arrived = incoming.arrived
        self._incoming = incoming
        self.headers = _Indexed(scope["headers"])

    @property
    def has_arrived(self) -> bool:
        """All of the body is there."""
        return not self._incoming.more_body

    @property
    def is_abandoned(self) -> bool:
        """The client left."""
        return self._incoming.disconnected


@lru_cache
def _on_the_wire(key: str) -> bytes:
    """Return a header's name as it is sent; it is one of the same few in every request."""
    return key.lower().encode("latin-1")


class _Indexed(Headers):
    """Headers whose `get` looks into a dictionary; of several with one name it finds the first."""

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=list(raw))
        self._first = dict(reversed(raw))

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        value = self._first.get(_on_the_wire(key))
        return default if value is None else value.decode("latin-1")
