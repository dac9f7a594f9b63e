"""Counts the answers of a load: what was done in time, what was refused, and how long either took."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TypedDict

QUANTILES = (0.5, 0.9, 0.99, 0.999)
OK, REFUSED = 200, (429, 503)


class Second(TypedDict):
    """One second of the counted time: requests by when they were due, `done` by when it was answered.

    Attributes:
        p99_ms: of the 200s.
    """

    offered: int
    done: int
    ok: int
    refused: int
    others: int
    p99_ms: float


class Tally:
    """What came back, and when.

    Args:
        starts_s, seconds: the counted time.
        deadline_s: what takes longer is not done; 0 for none.
        by_due: a request counts if it was due within the time; else, if it was answered within it.
    """

    def __init__(self, starts_s: float, seconds: float, deadline_s: float, *, by_due: bool) -> None:
        self.starts_s, self.ends_s = starts_s, starts_s + seconds
        self._deadline_s, self._by_due = deadline_s or float("inf"), by_due
        self.done = self.offered = self.bytes = 0
        self.statuses: Counter[int] = Counter()
        self._ok_s: defaultdict[int, list[float]] = defaultdict(list)  # latencies, by second
        self.broken_s: list[float] = []  # when connections broke
        self._refused_s: list[float] = []
        self._sent_late_s: list[float] = []
        self._counts: Counter[tuple[str, int]] = Counter()

    def due(self, due_s: float) -> None:
        """A request should go out at that time."""
        if self._is_counted(due_s):
            self.offered += 1
            self._counts["offered", self._second(due_s)] += 1

    def sent(self, due_s: float, now_s: float) -> None:
        """A request went out."""
        if self._is_counted(due_s):
            self._sent_late_s.append(now_s - due_s)

    def answered(self, due_s: float, now_s: float, status: int, size: int) -> None:
        """An answer came; status 0 for none."""
        took_s = now_s - due_s
        if status == OK and took_s <= self._deadline_s and self._is_counted(now_s):
            self.done += 1
            self._counts["done", self._second(now_s)] += 1
        counted_s = due_s if self._by_due else now_s
        if not self._is_counted(counted_s):
            return
        self.statuses[status] += 1
        self.bytes += size
        if not status:
            self.broken_s.append(now_s)
        second = self._second(counted_s)
        if status == OK:
            self._ok_s[second].append(took_s)
        elif status in REFUSED:
            self._refused_s.append(took_s)
            self._counts["refused", second] += 1
        else:
            self._counts["others", second] += 1

    def _is_counted(self, at_s: float) -> bool:
        return self.starts_s <= at_s < self.ends_s

    def _second(self, at_s: float) -> int:
        return int(at_s - self.starts_s)

    def latency_ms(self) -> dict[str, float]:
        """By quantile, of the 200s."""
        return _quantiles([one for second in self._ok_s.values() for one in second])

    def refused_ms(self) -> dict[str, float]:
        """By quantile, of the refusals."""
        return _quantiles(self._refused_s)

    def sent_late_ms(self) -> dict[str, float]:
        """By quantile, how much later than due requests went out."""
        return _quantiles(self._sent_late_s)

    def by_second(self) -> list[Second]:
        """List the counted time second by second."""
        return [self._of(number) for number in range(round(self.ends_s - self.starts_s))]

    def _of(self, second: int) -> Second:
        ok, counts = self._ok_s.get(second, []), self._counts
        return {
            "offered": counts["offered", second],
            "done": counts["done", second],
            "ok": len(ok),
            "refused": counts["refused", second],
            "others": counts["others", second],
            "p99_ms": _quantiles(ok)["p99"],
        }


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """In milliseconds; none of nothing is a number."""
    ordered = sorted(seconds)
    return {
        f"p{100 * q:g}": 1e3 * ordered[min(len(ordered) - 1, int(q * len(ordered)))]
        if ordered
        else float("nan")
        for q in QUANTILES
    }
