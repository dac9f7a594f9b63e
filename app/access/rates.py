"""How much a key may ask for: token buckets of requests and of tokens, and the inputs in work.

A bucket holds what may be spent at once: one second's worth, or one request. What a request costs in tokens
is known when it has been encoded; until then it is let in on credit, and a bucket in debt lets nobody in.
The limits are those of the server: its processes count in one table, `app.shared.rate_table`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, MutableSequence
from dataclasses import dataclass

from app.shared.rate_table import REQUESTS, TOKENS, RateTable
from bundle import EncoderyError

SMOOTHING = 0.2  # weight of the newest request in how long they take


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a key may ask for; None is without bound.

    Attributes:
        max_in_work: inputs that are being encoded at the same time.
    """

    requests_per_s: float | None = None
    tokens_per_s: float | None = None
    max_in_work: int | None = None


class RateLimited(EncoderyError):
    """The key has had what it may.

    Args:
        limit: the name of the limit, as in the file of keys.
        most: its value.
        retry_after_s: when another try makes sense.
    """

    code, param = "rate_limited", None

    def __init__(self, limit: str, most: float, retry_after_s: float) -> None:
        super().__init__(
            f"the limit of this key is reached: {limit} = {most:g}; try again in {retry_after_s:.1f} s"
        )
        self.limit, self.retry_after_s = limit, retry_after_s


class Bucket:
    """Fills at a rate, up to one second's worth.

    Kept as one number, the time at which it will be full, which several processes can share: the generic
    cell rate algorithm (ITU-T I.371), the same as a token bucket.

    Args:
        rate: per second.
        clock: seconds; monotonic.
        cells: where the number is kept.
        at: its place there.
    """

    def __init__(
        self,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        cells: MutableSequence[float] | memoryview[float] | None = None,
        at: int = 0,
    ) -> None:
        self._rate, self._clock = rate, clock
        self._most = max(1.0, rate)
        self._cells, self._at = [0.0] if cells is None else cells, at

    def lacks_s(self, amount: float) -> float:
        """Seconds until the amount is there; an amount over what it holds waits for it to be full."""
        full_in_s = self._cells[self._at] - self._clock()
        return max(0.0, full_in_s - (self._most - min(amount, self._most)) / self._rate)

    def spend(self, amount: float) -> None:
        """Take the amount, on credit if need be."""
        self._cells[self._at] = max(self._cells[self._at], self._clock()) + amount / self._rate


class KeyRates:
    """What one key has spent, in all processes of the server.

    Args:
        name: of the key.
        limits: of the key.
        table: where it is kept; by default one of its own.
        clock: seconds; monotonic.
    """

    def __init__(
        self,
        name: str,
        limits: RateLimits,
        table: RateTable | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._table = RateTable(rows=1) if table is None else table
        self._number, self._row = _number_of(name, limits), 0
        self._in_work, self._lasts_s = 0, 1.0  # inputs here; how long a request took lately

    def admit(self) -> None:
        """Count a request. Raises RateLimited, and counts nothing then."""
        self.check_tokens()
        if (most := self._limits.requests_per_s) is not None:
            requests = self._bucket(most, REQUESTS)
            if wait_s := requests.lacks_s(1):
                raise RateLimited("requests_per_s", most, wait_s)
            requests.spend(1)

    def check_tokens(self) -> None:
        """Raise RateLimited if more tokens were encoded than the key may ask for."""
        most = self._limits.tokens_per_s
        if most is not None and (wait_s := self._bucket(most, TOKENS).lacks_s(1)):
            raise RateLimited("tokens_per_s", most, wait_s)

    def begin(self, items: int) -> float:
        """Count inputs that go to work; the time, for `end`. Raises RateLimited, and counts nothing then.

        A key with nothing in work may send one request of any size, or it could never be served. Who comes
        too early is told to wait for as long as the key's requests took lately.
        """
        if (most := self._limits.max_in_work) is not None:
            in_work = self.in_work
            if in_work and in_work + items > most:
                raise RateLimited("max_in_work", most, self._lasts_s)
            self._count(items)
        return self._clock()

    def end(self, items: int, began_s: float) -> None:
        """Count inputs that are no longer in work."""
        if self._limits.max_in_work is not None:
            self._count(-items)
            self._lasts_s += SMOOTHING * (self._clock() - began_s - self._lasts_s)

    @property
    def in_work(self) -> int:
        """Inputs of the key that are being encoded, counted where they are limited."""
        return self._table.in_work(self._place())

    def spend_tokens(self, tokens: Iterable[int]) -> None:
        """Count what was encoded; an input without tokens counts as one."""
        if (most := self._limits.tokens_per_s) is not None:
            self._bucket(most, TOKENS).spend(sum(max(1, one) for one in tokens))

    def _bucket(self, rate: float, column: int) -> Bucket:
        return Bucket(rate, self._clock, self._table.cells, self._place() + column)

    def _count(self, items: int) -> None:
        self._in_work += items
        self._table.set_in_work(self._place(), self._in_work)

    def _place(self) -> int:
        """Where the key's row begins: claimed at first, and again if another key has got it."""
        if self._table.cells[self._row] != self._number:
            self._row = self._table.claim(self._number)
        return self._row


def _number_of(name: str, limits: RateLimits) -> int:
    """A number for the table: the same in all processes, exact as a float64, and never 0."""
    digest = hashlib.sha256(repr((name, limits)).encode()).digest()
    return int.from_bytes(digest[:6], "big") + 1
