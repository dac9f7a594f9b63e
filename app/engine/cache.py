"""Vectors that were computed before, and those that are being computed for somebody else.

    lookup -> rows that are there | rows to compute | rows that another request computes

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
class CachedRow:
    """What is kept for one input: float32 [dim], never changed, and its facts."""

    vector: npt.NDArray[np.float32]
    facts: Facts

    @classmethod
    def of(cls, vector: npt.NDArray[np.float32], facts: Facts) -> CachedRow:
        """A copy: a row of a batch would keep the whole batch in memory."""
        return cls(vector.copy(), facts)

    @property
    def size(self) -> int:
        """Its size in bytes."""
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
        self._rows: OrderedDict[bytes, CachedRow] = OrderedDict()
        self._in_flight: dict[tuple[Hashable, bytes], asyncio.Future[CachedRow | None]] = {}
        self.size = 0

    def __len__(self) -> int:
        return len(self._rows)

    def key(self, *parts: Hashable) -> bytes:
        """Make the key of whatever a vector depends on."""
        content = repr(parts).encode("utf-8", "backslashreplace")
        return hashlib.blake2b(content, digest_size=16, key=self._secret).digest()

    def look_up(self, keys: Sequence[bytes], priority: Hashable = None) -> CacheLookup:
        """What there is for different keys, and what is to be computed; to be used in a `with` block.

        What a request of the same priority computes is waited for; bulk work may take long to start.
        """
        loop, lookup = asyncio.get_running_loop(), CacheLookup(self, keys, priority)
        for index, key in enumerate(keys):
            if (row := self._rows.get(key)) is not None:
                self._rows.move_to_end(key)
                lookup.rows[index] = row
            elif (computation := self._in_flight.get((priority, key))) is not None:
                lookup.joined[index] = computation
            else:
                self._in_flight[priority, key] = loop.create_future()
                lookup.missing.append(index)
        return lookup

    def settle(self, key: bytes, row: CachedRow | None, priority: Hashable = None) -> None:
        """Keep a row, and give it to all who wait for it; None when it could not be computed."""
        if (computation := self._in_flight.pop((priority, key), None)) is not None and not computation.done():
            computation.set_result(row)
        if row is None or row.size > self._max_bytes or key in self._rows:
            return
        self._rows[key] = row
        self.size += row.size
        while self.size > self._max_bytes:
            self.size -= self._rows.popitem(last=False)[1].size


@dataclass
class CacheLookup:
    """What one request takes from the cache and gives to it.

    Attributes:
        rows: by index; None until it is there.
        missing: indices that this request computes.
        joined: those that another request computes.
    """

    cache: ResultCache
    keys: Sequence[bytes]
    priority: Hashable
    rows: list[CachedRow | None] = field(init=False)
    missing: list[int] = field(default_factory=list)
    joined: dict[int, asyncio.Future[CachedRow | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rows = [None] * len(self.keys)

    def __enter__(self) -> CacheLookup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for index in self.missing:  # a failure or a client that left: the others compute it themselves
            if self.rows[index] is None:
                self.cache.settle(self.keys[index], None, self.priority)

    def put(self, indices: Sequence[int], rows: Sequence[CachedRow]) -> None:
        """What was computed."""
        for index, row in zip(indices, rows, strict=True):
            self.rows[index] = row
            self.cache.settle(self.keys[index], row, self.priority)

    async def wait_for_others(self) -> list[int]:
        """Wait for what others compute. Returns the indices that did not come."""
        for index, computation in self.joined.items():
            self.rows[index] = await asyncio.shield(
                computation
            )  # one who leaves takes nothing from the others
        return [index for index, row in enumerate(self.rows) if row is None]
