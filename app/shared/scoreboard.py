"""What the server processes of one port tell each other: a few numbers each, in shared memory.

Every process writes its own slot and reads all, so there is no lock that a killed process could leave
held; the supervisor clears the slot of a process that ended. Hence a limit on a sum is kept to within one
request per process: two that ask at the same moment both see room. The idea and the name are Apache's.
"""

from __future__ import annotations

import mmap
import os
import time
from enum import IntEnum
from pathlib import Path

from app.shared.switch import NUMBERS, WIDTH, Switch

FILE = "scoreboard"


class Field(IntEnum):
    """What a slot holds."""

    PID = 0
    BEAT_MS = 1  # monotonic; when all was well last: the event loop turned, and no forward pass hung
    IS_SERVING = 2  # 1 where requests are taken
    ITEMS = 3  # in work
    COST = 4  # that waits
    DEATHS = 5  # of processes in this slot, unasked; stays when the slot is cleared
    GENERATION = 6  # of models that it answers by: `app.shared.switch`
    IS_UNTRACED = 7  # 1 where the last spans could not be sent


class Scoreboard:
    """The slots, in a file of a directory that all processes can see.

    Args:
        directory: better one in memory.
        slots: how many; by default as many as the file has, which must be there.

    Attributes:
        switch: the generations of models.
    """

    def __init__(self, directory: Path, slots: int | None = None) -> None:
        self.directory = directory
        flags = os.O_RDWR | (os.O_CREAT if slots else 0)
        descriptor = os.open(directory / FILE, flags, 0o600)
        try:
            if slots:
                os.ftruncate(descriptor, (slots * len(Field) + NUMBERS) * WIDTH)
            cells = memoryview(mmap.mmap(descriptor, 0)).cast("q")
        finally:
            os.close(descriptor)
        self._cells = cells[:-NUMBERS]
        self.switch = Switch(cells[-NUMBERS:], self._cells[Field.GENERATION :: len(Field)])

    def __len__(self) -> int:
        return len(self._cells) // len(Field)

    def get(self, slot: int, field: Field) -> int:
        """Return one number of a slot."""
        return self._cells[slot * len(Field) + field]

    def set(self, slot: int, field: Field, value: int) -> None:
        """Write a number; only the slot's owner does this, and the supervisor when there is none."""
        self._cells[slot * len(Field) + field] = value

    def total(self, field: Field) -> int:
        """Add up a number over all slots."""
        return sum(self._cells[field :: len(Field)])

    def clear(self, slot: int) -> None:
        """Forget a process that is gone."""
        for field in Field:
            if field is not Field.DEATHS:
                self.set(slot, field, 0)

    def is_serving(self, slot: int) -> bool:
        """The slot's process takes requests, or did so a moment ago."""
        return self.get(slot, Field.IS_SERVING) > 0

    def has_begun(self, slot: int) -> bool:
        """The event loop of the slot's process has turned."""
        return self.get(slot, Field.BEAT_MS) > 0

    def silent_s(self, slot: int) -> float:
        """Seconds since the last heartbeat; 0 before the first."""
        beat_ms = self.get(slot, Field.BEAT_MS)
        return max(0.0, time.monotonic() - beat_ms / 1e3) if beat_ms else 0.0

    def pids(self) -> list[int]:
        """Return the ids of the processes that there are."""
        return [pid for pid in self._cells[Field.PID :: len(Field)] if pid]


class WorkerSlot:
    """The slot of one process, as that process uses it.

    Args:
        scoreboard: the one that all see.
        number: no other living process has it.
        supervisor: the supervisor's process; by default the parent of this one.
    """

    def __init__(self, scoreboard: Scoreboard, number: int, supervisor: int | None = None) -> None:
        self.scoreboard, self.number = scoreboard, number
        self._supervisor = os.getppid() if supervisor is None else supervisor
        scoreboard.set(number, Field.PID, os.getpid())

    @property
    def is_orphaned(self) -> bool:
        """The supervisor is gone: killed, as it does not leave before its workers."""
        return os.getppid() != self._supervisor

    def beat(self, stalled_s: float = 0.0, *, is_serving: bool = True) -> None:
        """Say that the event loop turns.

        Args:
            stalled_s: how long a forward pass has been standing still. It counts as silence, so that whoever
                watches waits for one limit, not for two.
            is_serving: requests are taken.
        """
        self.scoreboard.set(self.number, Field.BEAT_MS, max(1, int((time.monotonic() - stalled_s) * 1e3)))
        self.scoreboard.set(self.number, Field.IS_SERVING, int(is_serving))

    @property
    def others_serve(self) -> bool:
        """Another process takes requests."""
        return self._sum_of_others(Field.IS_SERVING) > 0

    def publish(self, items: int, cost: int) -> None:
        """Say what this process has in work, and what waits in it."""
        self.scoreboard.set(self.number, Field.ITEMS, items)
        self.scoreboard.set(self.number, Field.COST, cost)

    def tell_traced(self, *, is_so: bool) -> None:
        """Say whether the last spans of this process could be sent."""
        self.scoreboard.set(self.number, Field.IS_UNTRACED, int(not is_so))

    @property
    def untraced(self) -> int:
        """How many processes could not send their last spans."""
        return self.scoreboard.total(Field.IS_UNTRACED)

    def others(self) -> tuple[int, int]:
        """Return what the other processes have together: items in work, and the cost that waits."""
        return self._sum_of_others(Field.ITEMS), self._sum_of_others(Field.COST)

    def _sum_of_others(self, field: Field) -> int:
        return self.scoreboard.total(field) - self.scoreboard.get(self.number, field)
