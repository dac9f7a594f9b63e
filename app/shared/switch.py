"""Which generation of models requests are answered by: numbers that all server processes of a port see.

    offered -> each process loads it beside the one before, and says so -> current: one number flips for all

A request takes its models by `current`, so processes change at once, and after the flip no answer is of an
older generation. Where one process serves alone, the numbers are its own.
"""

from __future__ import annotations

CURRENT, OFFERED, NUMBERS = 0, 1, 2  # cells, and how many
WIDTH = 8  # bytes of a number, written at once by every processor that Python runs on


class Switch:
    """The numbers of generations; each is written by one process only, so there is no lock.

    Args:
        cells: of the two numbers, int64.
        slots: one for each process: the generation it has loaded, 0 before the first, and less than 0 for
            one that it could not load.
    """

    def __init__(self, cells: memoryview, slots: memoryview) -> None:
        self._cells, self._slots = cells, slots

    @classmethod
    def alone(cls) -> Switch:
        """Of a process that serves alone."""
        return cls(*(memoryview(bytearray(count * WIDTH)).cast("q") for count in (NUMBERS, 1)))

    @property
    def current(self) -> int:
        """The generation that requests are answered by; 0 before the first."""
        return self._cells[CURRENT]

    @property
    def offered(self) -> int:
        """The newest one that is to be loaded; `current` where there is no newer one."""
        return self._cells[OFFERED]

    def offer(self, generation: int) -> None:
        """Let all load it."""
        self._cells[OFFERED] = generation

    def flip(self, generation: int) -> None:
        """Let all answer by it from now on."""
        self._cells[CURRENT] = generation

    def answers_by(self, slot: int, generation: int) -> None:
        """Say that a process has loaded it, and takes requests or is about to."""
        self._slots[slot] = generation

    def lacks(self, slot: int, generation: int) -> None:
        """Say that a process cannot load it, and goes on with what it has."""
        self._slots[slot] = -generation

    def waiting(self, generation: int) -> list[int]:
        """The processes that answer by an older one, and have not said anything of this one."""
        return [slot for slot, found in enumerate(self._slots) if found and abs(found) < generation]

    def lacking(self, generation: int) -> list[int]:
        """The processes that cannot load it."""
        return [slot for slot, found in enumerate(self._slots) if found == -generation]
