"""Decides when to try again and when to give up; a generator that sends nothing and never sleeps.

`Client` and `AsyncClient` drive the same generator, one with time.sleep, the other with asyncio.sleep.
Encoding changes nothing on the server, so every request may be sent again.
Backoff with full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias

import httpx2 as httpx

from encodery_client.errors import DeadlineExceeded, ServerUnreachable, retry_after_s

RETRYABLE = frozenset({429, 502, 503})
JITTER = 0.25  # of a Retry-After, on top of it, or everybody comes back in the same moment


@dataclass(frozen=True)
class Retry:
    """How often to try, and how long to wait.

    Attributes:
        attempts: tries in all; 1 never tries again.
        base_s: upper bound of the first wait; it doubles with every further one.
        longest_s: upper bound of a wait that the server did not ask for.
    """

    attempts: int = 5
    base_s: float = 0.1
    longest_s: float = 5.0

    def wait_s(self, failed: int, asked_s: float | None, chance: Callable[[], float]) -> float:
        """Choose the wait after the `failed`-th try (from 1); never less than the server asked for."""
        backoff_s = chance() * min(self.longest_s, self.base_s * 2 ** (failed - 1))
        return backoff_s if asked_s is None else asked_s * (1 + JITTER * chance())


@dataclass(frozen=True)
class Send:
    """Send the request now, and wait at most so long for its answer."""

    timeout_s: float


@dataclass(frozen=True)
class Wait:
    """Do nothing for so long."""

    seconds: float


Step: TypeAlias = Send | Wait
StepResult: TypeAlias = httpx.Response | httpx.TransportError | None


def attempts(
    retry: Retry, deadline_s: float, clock: Callable[[], float], chance: Callable[[], float] = random.random
) -> Generator[Step, StepResult, httpx.Response]:
    """Yield what to do next, until there is an answer that is final.

    Args:
        retry: how often and how patiently.
        deadline_s: on `clock`.
        clock: seconds, monotonic.
        chance: uniform in [0, 1).

    Raises:
        DeadlineExceeded, ServerUnreachable: there is no answer.
    """
    failed = 0
    while True:
        result = yield Send(_left_s(deadline_s, clock))
        failed += 1
        if isinstance(result, httpx.Response):
            asked_s = retry_after_s(result.headers)
            if result.status_code not in RETRYABLE or failed >= retry.attempts:
                return result
        else:
            asked_s = None
            if isinstance(result, httpx.TimeoutException) and clock() >= deadline_s:
                raise DeadlineExceeded("no answer within the time allowed (timeout_s)") from result
            if failed >= retry.attempts:
                raise ServerUnreachable(f"no answer after {failed} tries: {result}") from result
        wait_s = retry.wait_s(failed, asked_s, chance)
        if clock() + wait_s >= deadline_s:  # the wait alone would outlast the caller's patience
            if isinstance(result, httpx.Response):
                return result
            raise ServerUnreachable(f"no answer after {failed} tries: {result}") from result
        yield Wait(wait_s)


def _left_s(deadline_s: float, clock: Callable[[], float]) -> float:
    left_s = deadline_s - clock()
    if left_s <= 0:
        raise DeadlineExceeded("the time allowed (timeout_s) is over")
    return left_s
