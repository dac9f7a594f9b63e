"""What the keys of a server have spent, in numbers that all its processes see and write.

    row of a key:   number | requests: full at | tokens: full at | in work, of each process

A row is claimed by a key's first request; when all are taken, the one whose buckets have been full for
longest is given to another key, which loses nothing. There is no lock for spending that a killed process
could leave held, so two processes that spend at the very same moment may count once: see
`app.shared.scoreboard`.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.shared.scoreboard import Field, WorkerSlot
from app.shared.switch import WIDTH

FILE = "rates"
ROWS = 4096  # more keys than these cannot have limits
REQUESTS, TOKENS, IN_WORK = 1, 2, 3  # columns; before them the number, behind them one for each process


class RateTable:
    """The table, in a file beside the scoreboard; in plain memory where one process serves.

    Args:
        slot: of this process, where there are several.

    Attributes:
        cells: all numbers, float64; times are monotonic seconds, which all processes have in common.
    """

    def __init__(self, slot: WorkerSlot | None = None, rows: int = ROWS) -> None:
        self._board = slot.scoreboard if slot else None
        self._slot, slots = (slot.number, len(slot.scoreboard)) if slot else (0, 1)
        self._width: Final = IN_WORK + slots
        self._descriptor: int | None = None
        size = rows * self._width * WIDTH
        if self._board is None:
            self.cells = memoryview(bytearray(size)).cast("d")
        else:
            self._descriptor = os.open(self._board.directory / FILE, os.O_RDWR | os.O_CREAT, 0o600)
            os.ftruncate(self._descriptor, size)
            self.cells = memoryview(mmap.mmap(self._descriptor, size)).cast("d")
        self.cells[IN_WORK + self._slot :: self._width] = memoryview(bytearray(rows * WIDTH)).cast("d")

    def claim(self, number: int) -> int:
        """The place in `cells` at which a key's row begins.

        Args:
            number: of the key, not 0, and the same in all processes.
        """
        with self._claiming():
            numbers = self.cells[:: self._width].tolist()
            if number in numbers:
                return numbers.index(number) * self._width
            at = numbers.index(0) * self._width if 0 in numbers else self._stalest()
            self.cells[at + 1 : at + self._width] = memoryview(bytearray((self._width - 1) * WIDTH)).cast("d")
            self.cells[at] = number
            return at

    def set_in_work(self, at: int, count: int) -> None:
        """Say what the key of the row has in work in this process."""
        self.cells[at + IN_WORK + self._slot] = count

    def in_work(self, at: int) -> int:
        """What the key of the row has in work in all processes that there are."""
        counts = self.cells[at + IN_WORK : at + self._width].tolist()
        if self._board is None:
            return int(counts[0])
        return sum(int(one) for slot, one in enumerate(counts) if self._board.get(slot, Field.PID))

    def _stalest(self) -> int:
        return min(
            range(0, len(self.cells), self._width),
            key=lambda at: (self.in_work(at), max(self.cells[at + REQUESTS], self.cells[at + TOKENS])),
        )

    @contextmanager
    def _claiming(self) -> Iterator[None]:
        """Only one process at a time; the system ends this when it is killed."""
        if self._descriptor is None:
            yield
            return
        import fcntl  # noqa: PLC0415  # not on Windows, where one process serves

        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
