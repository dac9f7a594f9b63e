"""How much a key may ask for: token buckets of requests and of tokens, and the inputs in work.

A bucket holds what may be spent at once: one second's worth, or one request. What a request costs in tokens
is known when it has been encoded; until then it is let in on credit, and a bucket in debt lets nobody in.
Source: RFC 2697 (token bucket, without its colours).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bundle import EncoderyError


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

    Args:
        rate: per second.
        clock: seconds; monotonic.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._clock = rate, clock
        self._most = max(1.0, rate)
        self._level, self._filled_s = self._most, clock()

    def lacks_s(self, amount: float) -> float:
        """Seconds until the amount is there; an amount over what it holds waits for it to be full."""
        self._fill()
        return max(0.0, (min(amount, self._most) - self._level) / self._rate)

    def spend(self, amount: float) -> None:
        """Take the amount, on credit if need be."""
        self._fill()
        self._level -= amount

    def _fill(self) -> None:
        now_s = self._clock()
        self._level = min(self._most, self._level + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s


class KeyRates:
    """What one key has spent.

    Args:
        limits: of the key.
        clock: seconds; monotonic.
    """

    def __init__(self, limits: RateLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._requests = Bucket(limits.requests_per_s, clock) if limits.requests_per_s else None
        self._tokens = Bucket(limits.tokens_per_s, clock) if limits.tokens_per_s else None
        self.in_work = 0

    def admit(self) -> None:
        """Count a request. Raises RateLimited, and counts nothing then."""
        if self._tokens is not None and (wait_s := self._tokens.lacks_s(1)):
            raise RateLimited("tokens_per_s", self._limits.tokens_per_s or 0, wait_s)
        if self._requests is not None:
            if wait_s := self._requests.lacks_s(1):
                raise RateLimited("requests_per_s", self._limits.requests_per_s or 0, wait_s)
            self._requests.spend(1)

    def begin(self, items: int) -> None:
        """Count inputs that go to work. Raises RateLimited, and counts nothing then.

        A key with nothing in work may send one request of any size, or it could never be served.
        """
        most = self._limits.max_in_work
        if most is not None and self.in_work and self.in_work + items > most:
            raise RateLimited("max_in_work", most, 1.0)
        self.in_work += items

    def end(self, items: int) -> None:
        """Count inputs that are no longer in work."""
        self.in_work -= items

    def spend_tokens(self, tokens: Iterable[int]) -> None:
        """Count what was encoded; an input without tokens counts as one."""
        if self._tokens is not None:
            self._tokens.spend(sum(max(1, one) for one in tokens))
