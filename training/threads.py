"""How many threads torch computes on: measured on the work itself, at its start and again while it runs.

An operation on several threads waits for the slowest of them. Of small operations that wait is most of the
time, and with another process on one of the cores it is nearly all: a step of 10 ms on one thread took 330
ms on two. No rule of thumb knows either, so the same piece of work is timed on each number. A busy core may
let the first few operations pass, so each is timed for a while, and what real work takes is watched as well.

Knows nothing of models: work is anything that can be done again without harm.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from threadpoolctl import ThreadpoolController

from bundle.cores import usable_cores
from training.console import say

Work: TypeAlias = Callable[[], object]
Made = TypeVar("Made")

AGAIN_S = 10.0  # between two measurements, at least
SHARE = 0.05  # of the time, that measuring may take
BETTER = 0.9  # of the time on the present number, before it is left
WORSE = 1.5  # times the best so far: still fewer threads are not tried
LONG_S = 1.0  # work that takes longer is timed once
WHILE_S = 0.03  # shorter work is repeated for so long
RECENT, RECENT_S = 5, 0.2  # pieces of real work, and seconds of it, over which its time is judged
LARGEST = 1024  # rows of a matrix that stands for larger ones
SLOWER = 2.0  # times what was measured: it is measured again


class Threads:
    """Keeps torch on the number of threads that its work is fastest on.

    Args:
        cores: the most threads; by default `most_threads()`.
        apply: sets the number.
        clock: seconds that never go back.
        tell: says what was chosen, when that changes.
    """

    def __init__(
        self,
        cores: int | None = None,
        *,
        apply: Callable[[int], None] = torch.set_num_threads,
        clock: Callable[[], float] = time.perf_counter,
        tell: Callable[[str], None] = say,
    ) -> None:
        self.candidates = powers_of_two(cores or most_threads())
        self.chosen = self.candidates[-1]
        self._apply, self._clock, self._tell = apply, clock, tell
        self._again = self._earliest = 0.0 if len(self.candidates) > 1 else float("inf")
        self._best = float("inf")
        self._pieces, self._spent = 0, 0.0
        apply(self.chosen)

    def follow(self, work: Work) -> None:
        """Measure this work on every number and keep the fastest, if it is time to.

        Args:
            work: a piece of what is done anyway, which can be done several times; what it makes is dropped.
        """
        start = self._clock()
        if start < self._again:
            return
        first = self._once(work)  # of memory and caches as well, so it counts only where that is little
        took = self._timed(work, {self.chosen: first} if first > LONG_S else {})
        best = min(took, key=took.__getitem__)
        if took[best] < BETTER * took[self.chosen]:
            self._tell(
                f"computing on {best} of {self.candidates[-1]} threads: {1000 * took[best]:.1f} ms a step, "
                f"{1000 * took[self.chosen]:.1f} ms on {self.chosen}"
            )
            self.chosen = best
        self._apply(self.chosen)
        end = self._clock()
        self._best, self._earliest = took[best], end + (end - start) / SHARE
        self._again = max(end + AGAIN_S, self._earliest)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around a piece of real work: where such take far longer than was measured, it is measured again."""
        start = self._clock()
        yield
        self._pieces, self._spent = self._pieces + 1, self._spent + self._clock() - start
        if self._pieces >= RECENT and self._spent >= RECENT_S:
            if self._spent / self._pieces > SLOWER * self._best:
                self._again = self._earliest
            self._pieces, self._spent = 0, 0.0

    def run(self, work: Callable[[], Made]) -> Made:
        """Do a piece of work on the fastest number; it may be done several times to find that."""
        self.follow(work)
        with self.watching():
            return work()

    def _timed(self, work: Work, took: dict[int, float]) -> dict[int, float]:
        """Seconds by number of threads, from all cores down to where fewer are clearly slower."""
        for number in reversed(self.candidates):
            if number not in took:
                self._apply(number)
                took[number] = self._mean(work)
            if self.chosen in took and took[number] > WORSE * min(took.values()):
                break
        return took

    def _mean(self, work: Work) -> float:
        """Seconds of a piece, over a while; the first counts only where it is long."""
        first = self._once(work)
        if first > LONG_S:
            return first
        pieces, spent = 0, 0.0
        while spent < WHILE_S:
            pieces, spent = pieces + 1, spent + self._once(work)
        return spent / pieces

    def _once(self, work: Work) -> float:
        start = self._clock()
        work()
        return self._clock() - start


@contextmanager
def fastest_threads() -> Iterator[Threads]:
    """Around forward passes that no training loop is around; leaves torch on the number that it had."""
    before = torch.get_num_threads()
    try:
        yield Threads()
    finally:
        torch.set_num_threads(before)


@contextmanager
def fastest_algebra(size: int) -> Iterator[None]:
    """Around closed forms on matrices of `size` rows: torch and BLAS on the threads that are fastest.

    Measured once, on a product and a factor of that size; leaves both on the numbers that they had.
    """
    rows = min(size, LARGEST)
    matrix = np.eye(rows, dtype=np.float32)
    factored = torch.eye(rows, dtype=torch.float64)
    before, blas = torch.get_num_threads(), ThreadpoolController().select(user_api="blas")

    def apply(number: int) -> None:
        torch.set_num_threads(number)
        blas.limit(limits=number)

    with blas.limit(limits=None):
        try:
            Threads(apply=apply).follow(lambda: (matrix @ matrix, torch.linalg.cholesky(factored)))
            yield
        finally:
            torch.set_num_threads(before)


def most_threads() -> int:
    """OMP_NUM_THREADS where it is set, as for torch itself; otherwise the cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) else usable_cores()


def powers_of_two(cores: int) -> list[int]:
    """1, 2, 4 and so on below `cores`, and `cores`."""
    below = [1 << exponent for exponent in range(cores.bit_length()) if 1 << exponent < cores]
    return [*below, cores]
