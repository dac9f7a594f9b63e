"""Vectors that were computed before, and those that are being computed for somebody else.

    claim -> rows that are there | rows to compute | rows that another request computes

Off by default. Bounded in bytes; what was used longest ago goes first. Keys are digests under a secret of
this process, so that nobody can make two inputs collide, and inputs themselves are not kept.
Lives on one event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np
import numpy.typing as npt

from bundle import Facts

ROW_BYTES = 512  # of a row beside its vector: key, facts, and the objects around them


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept for one input: float32 [dim], never changed, and its facts."""

    vector: npt.NDArray[np.float32]
    facts: Facts

    @classmethod
    def of(cls, vector: npt.NDArray[np.float32], facts: Facts) -> Row:
        """A copy: a row of a batch would keep the whole batch in memory."""
        return cls(vector.copy(), facts)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.vector.nbytes + ROW_BYTES


class ResultCache:
    """The rows, least recently used first.

    Args:
        max_bytes: of all of them together.

    Attributes:
        size: bytes in use.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._secret = secrets.token_bytes(32)
        self._rows: OrderedDict[bytes, Row] = OrderedDict()
        self._flights: dict[tuple[Hashable, bytes], asyncio.Future[Row | None]] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, *parts: Hashable) -> bytes:
        """Of whatever a vector depends on."""
        content = repr(parts).encode("utf-8", "backslashreplace")
        return hashlib.blake2b(content, digest_size=16, key=self._secret).digest()

    def claim(self, keys: Sequence[bytes], lane: Hashable = None) -> Claim:
        """What there is for different keys, and what is to be computed; to be used in a `with` block.

        What another request computes is waited for in its own lane only: bulk work may take long to start.
        """
        loop, claim = asyncio.get_running_loop(), Claim(self, keys, lane)
        for place, key in enumerate(keys):
            if (row := self._rows.get(key)) is not None:
                self._rows.move_to_end(key)
                claim.rows[place] = row
            elif (flight := self._flights.get((lane, key))) is not None:
                claim.joined[place] = flight
            else:
                self._flights[lane, key] = loop.create_future()
                claim.missing.append(place)
        return claim

    def land(self, key: bytes, row: Row | None, lane: Hashable = None) -> None:
        """Keep a row, and give it to all who wait for it; None when it could not be computed."""
        if (flight := self._flights.pop((lane, key), None)) is not None and not flight.done():
            flight.set_result(row)
        if row is None or row.size > self._max_bytes or key in self._rows:
            return
        self._rows[key] = row
        self.size += row.size
        while self.size > self._max_bytes:
            self.size -= self._rows.popitem(last=False)[1].size


@dataclass
class Claim:
    """What one request takes from the cache and gives to it.

    Attributes:
        rows: by place; None until it is there.
        missing: places that this request computes.
        joined: those that another request computes.
    """

    cache: ResultCache
    keys: Sequence[bytes]
    lane: Hashable
    rows: list[Row | None] = field(init=False)
    missing: list[int] = field(default_factory=list)
    joined: dict[int, asyncio.Future[Row | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.keys)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for place in self.missing:  # a failure or a client that left: the others compute it themselves
            if self.rows[place] is None:
                self.cache.land(self.keys[place], None, self.lane)

    def put(self, places: Sequence[int], rows: Sequence[Row]) -> None:
        """What was computed."""
        for place, row in zip(places, rows, strict=True):
            self.rows[place] = row
            self.cache.land(self.keys[place], row, self.lane)

    async def arrivals(self) -> list[int]:
        """Wait for what others compute. Returns the places that did not come."""
        for place, flight in self.joined.items():
            self.rows[place] = await asyncio.shield(flight)  # one who leaves takes nothing from the others
        return [place for place, row in enumerate(self.rows) if row is None]
