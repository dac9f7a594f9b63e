"""Work of requests beside the engine's, such as taking texts apart: on threads of its own, bounded in time.

    size -> small: at once | would wait too long, or be late: 429 | a thread -> pieces, until the deadline

Its threads are no others', so that nobody else waits for them; a piece is the most that is done for a caller
who has left, or whose time is over. The unit is time, as in the engine: the rate is measured.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.engine import DeadlineExceeded, Overloaded

SMALL = 1000  # characters of work, or ids: done within 5 ms where it is
FIRST_RATE = 100_000.0  # characters per second of a thread, before any was measured; 190,000 of "!" are usual
NEWEST = 0.2  # of the rate, what the last work measured counts for
T = TypeVar("T")


class SideWork:
    """Does the work of many callers, of whom each brings it in pieces.

    Args:
        threads: that do it.
        max_wait_s: longest wait for others' work.
    """

    def __init__(self, threads: int = 1, max_wait_s: float = 2.0) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="beside")
        self._threads, self._max_wait_s = threads, max_wait_s
        self._in_work, self._rate = 0, FIRST_RATE

    async def collect(self, pieces: Iterator[T], size: int, timeout_s: float) -> list[T]:
        """All pieces, each of which is work; the first error of one is raised.

        Args:
            pieces: made on a thread, unless they are small together.
            size: of the work, in characters of a text.
            timeout_s: until nobody waits for them any more.

        Raises:
            Overloaded: others' work would make it late.
            DeadlineExceeded: it took too long.
        """
        if size <= SMALL:
            return list(pieces)
        self._admit(size, timeout_s)
        is_over = threading.Event()
        self._in_work += size
        try:
            async with asyncio.timeout(timeout_s):
                loop = asyncio.get_running_loop()
                found, seconds = await loop.run_in_executor(self._pool, _collected, pieces, is_over)
        except TimeoutError:
            raise DeadlineExceeded(timeout_s) from None
        finally:
            self._in_work -= size
            is_over.set()
        self._rate += NEWEST * (size / max(seconds, 1e-6) - self._rate)
        return found

    def _admit(self, size: int, timeout_s: float) -> None:
        """Raise Overloaded if it would wait too long, or be done too late; into nothing at all any is let."""
        wait_s = self._in_work / (self._rate * self._threads)
        left_s = min(self._max_wait_s, timeout_s - size / self._rate)
        if self._in_work and wait_s > left_s:
            retry_s = math.ceil(max(1.0, wait_s - left_s))
            raise Overloaded(
                f"the server is busy: others' texts are taken apart for another {wait_s:.1f} s, and yours "
                f"can wait for {max(0.0, left_s):.1f} s; try again in {retry_s} s",
                retry_s,
            )

    def close(self) -> None:
        """Begin nothing more; what runs on a thread ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _collected(pieces: Iterator[T], is_over: threading.Event) -> tuple[list[T], float]:
    """The pieces, and the seconds that they took."""
    found, began_s = list[T](), time.perf_counter()
    for piece in pieces:
        found.append(piece)
        if is_over.is_set():  # nobody reads it
            break
    return found, time.perf_counter() - began_s
