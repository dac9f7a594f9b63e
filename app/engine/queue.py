"""Which waiting inputs share the next forward pass. Pure: no asyncio, the clock is passed in.

One queue per encoder. A batch is the oldest entry, filled with those of the nearest cost, as long as it
is within the budget. Batches of like cost waste no padding, which is worth a factor of three over batches
in order of arrival to an encoder that pads everything, and keeps attention small in one that is packed.

Unfairness is bounded: every batch holds the oldest entry, so an entry with k older ones before it is in
one of the next k + 1 batches, whatever arrives later.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from bundle import Prepared

PACKED_GRID = 4  # a packed batch may have this many times the budget in cells of its grid


@dataclass(frozen=True, slots=True)
class Budget:
    """What a batch may cost.

    Attributes:
        cost: most of it.
        is_packed: nothing is padded but the grid on which the encoder attends, which is cheap, not free.
    """

    cost: int
    is_packed: bool = False

    def holds(self, rows: int, total: int, longest: int) -> bool:
        """Tell whether so many entries, with that cost in all and that of the longest, are within it."""
        if not self.is_packed:
            return rows * longest <= self.cost
        return total <= self.cost and rows * longest <= PACKED_GRID * self.cost


@dataclass(eq=False, slots=True)
class Entry:
    """One input that waits.

    Attributes:
        prepared: the input.
        group: the request it belongs to; entries of a group are dropped together.
        row: its position in the request.
        deadline_s: when nobody wants it any more, on the clock of `take`.
    """

    prepared: Prepared
    group: object
    row: int
    deadline_s: float

    @property
    def cost(self) -> int:
        """What the budget counts."""
        return self.prepared.cost


class Queue:
    """Entries in two orders at once: of arrival, and of cost."""

    def __init__(self) -> None:
        self._arrived: OrderedDict[int, Entry] = OrderedDict()  # arrival number -> entry
        self._sorted: list[tuple[int, int]] = []  # (cost, arrival number)
        self._arrivals = 0
        self.cost = 0

    def __len__(self) -> int:
        return len(self._arrived)

    def groups(self) -> set[object]:
        """The requests that wait."""
        return {entry.group for entry in self._arrived.values()}

    def put(self, entries: Iterable[Entry]) -> None:
        """Append in order."""
        for entry in entries:
            self._arrived[self._arrivals] = entry
            self._sorted.append((entry.cost, self._arrivals))
            self._arrivals += 1
            self.cost += entry.cost
        self._sorted.sort()  # nearly sorted already, which Timsort does in linear time

    def drop(self, group: object) -> None:
        """Forget the entries of a request that nobody waits for any more."""
        gone = {number for number, entry in self._arrived.items() if entry.group is group}
        if gone:
            self._sorted = [key for key in self._sorted if key[1] not in gone]
            for number in gone:
                self.cost -= self._arrived.pop(number).cost

    def take(self, budget: Budget, now_s: float) -> list[Entry]:
        """The next batch, oldest entry first; empty when nothing waits.

        An entry whose deadline has passed is dropped instead. One that is over the budget goes alone.
        """
        while self._arrived:
            number, oldest = next(iter(self._arrived.items()))
            first = bisect.bisect_left(self._sorted, (oldest.cost, number))
            if oldest.deadline_s > now_s:
                batch = self._remove(*self._stretch(first, oldest.cost, budget))
                return [entry for entry in batch if entry.deadline_s > now_s]
            self._remove(first, first + 1)
        return []

    def _stretch(self, first: int, cost: int, budget: Budget) -> tuple[int, int]:
        """What goes with the entry of that cost at `first` in the order of cost, as [first, last)."""
        last, total, longest = first + 1, cost, cost
        while True:
            rows = last - first + 1
            below = self._sorted[first - 1][0] if first > 0 else None
            above = self._sorted[last][0] if last < len(self._sorted) else None
            if below is not None and not budget.holds(rows, total + below, longest):
                below = None
            if above is not None and not budget.holds(rows, total + above, above):
                above = None
            if above is not None and (below is None or above - cost <= cost - below):
                last, total, longest = last + 1, total + above, above
            elif below is not None:
                first, total = first - 1, total + below
            else:
                return first, last

    def _remove(self, first: int, last: int) -> list[Entry]:
        numbers = sorted(number for _, number in self._sorted[first:last])
        del self._sorted[first:last]
        entries = [self._arrived.pop(number) for number in numbers]
        self.cost -= sum(entry.cost for entry in entries)
        return entries
