"""How fast an encoder is on this machine, measured on while it serves.

Begins with what was measured before (`app.engine.tuning`), or with caution, and follows the machine: other
processes may take a core, and give it back. It answers three questions:

- How large should a batch be? The smallest that is about as good as the best one; the best one where much
  waits. Now and then a neighbouring size is tried, since only what is run can be measured.
- Is a lone batch sooner done by all threads, or by one? Both are tried, the slower one seldom.
- How long will work take that waits? By the rate of the last batches, with all that disturbs them.
- How much work is a request whose body was not parsed yet? As much as the last ones of its size.

Lives on one event loop. Sizes are powers of two of the cost that the budget counts.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median_low
from typing import Literal, TypeAlias

from app.engine.tuning import COSTS, ENOUGH_S, WORTH_IT, BatchProfile

Priority: TypeAlias = Literal["interactive", "bulk"]

SMOOTHING = 0.2  # weight of the newest batch
CAUTIOUS_RATE = 1000.0  # cost per second of a thread, until a batch has been measured: that of a slow encoder
SIZE_TRIED_EVERY = 32  # batches from a deep queue, of which one is of another size
THREADS_GAIN_S = 1e-3  # shorter batches are not split over threads
THREADS_TRIED_EVERY = 16  # lone batches of a size, of which one runs the other way
THREADS_TRIED_SELDOM = 64  # the same, where the other way is far slower
FAR_SLOWER = 1.25
RECENT = 5  # lone batches of each way, of which the median counts


@dataclass(slots=True)
class _Throughput:
    """Cost and seconds of the last batches; the newer, the more they count."""

    cost: float = 0.0
    seconds: float = 0.0

    def add(self, cost: float, seconds: float) -> None:
        self.cost = (1 - SMOOTHING) * self.cost + cost
        self.seconds = (1 - SMOOTHING) * self.seconds + max(seconds, 1e-6)

    @property
    def rate(self) -> float:
        return self.cost / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Lone:
    """Seconds per cost of lone batches of one size, by one thread and by all; and how many there were."""

    recent: tuple[deque[float], deque[float]] = field(
        default_factory=lambda: (deque(maxlen=RECENT), deque(maxlen=RECENT))
    )
    count: int = 0


class Pace:
    """The pace of one encoder.

    Args:
        profile: what was measured before.

    Attributes:
        is_seeded: it began with what was measured elsewhere.
    """

    def __init__(self, profile: BatchProfile | None = None) -> None:
        self._rates: dict[int, float] = {}  # size of a batch -> cost per second of CPU time
        self._small: dict[int, _Throughput] = {}  # size of a small batch -> by CPU time, on one thread
        self._lanes: dict[Priority, _Throughput] = {"interactive": _Throughput(), "bulk": _Throughput()}
        self._lone: dict[int, _Lone] = {}
        self._deep_batches = 0
        self._cost_of_byte = 0.0  # of a body
        self.is_seeded = False
        self.seed(profile or BatchProfile())

    def seed(self, profile: BatchProfile) -> None:
        """Begin with what was measured elsewhere; it counts until it has been measured here."""
        self._profile = profile
        self.is_seeded |= bool(profile.rates)
        self._rates = {**profile.rates, **self._rates}
        self._choose()
        self._know_rates()

    @property
    def profile(self) -> BatchProfile:
        """What it has come to."""
        return self._profile

    def budget(self, *, is_deep: bool) -> int:
        """Most cost of the next batch; larger ones where so much waits that only throughput counts."""
        if not is_deep:
            return self._profile.batch_cost
        chosen = self._profile.deep_cost
        self._deep_batches += 1
        turn, rest = divmod(self._deep_batches, SIZE_TRIED_EVERY)
        if rest:
            return chosen
        neighbour = chosen * 2 if turn % 2 else self._profile.batch_cost // 2
        is_short = neighbour < ENOUGH_S * self._rates.get(chosen, 0.0)
        return neighbour if neighbour in COSTS and is_short else chosen

    def rate(self, priority: Priority) -> float:
        """Cost per second of one worker thread, by the clock, over the last batches of that priority."""
        return self._rate_of[priority]

    @property
    def is_measured(self) -> bool:
        """Batches have been run here, so that `rate` is no guess."""
        return any(lane.seconds for lane in self._lanes.values())

    def seconds(self, cost: int, *, is_multithreaded: bool = False) -> float:
        """What a small batch of that cost takes; infinite if that is not known.

        On one thread it is CPU time: by the clock, the wait for Python's lock would count as work, and short
        batches would be handed to threads that wait for it again.
        """
        if is_multithreaded and (lone := self._lone.get(cost.bit_length())) and (recent := lone.recent[1]):
            return cost * median_low(recent)
        if small := self._small.get(cost.bit_length()):
            return cost / small.rate
        return cost / self._profile.rate if self._profile.rate else math.inf

    def takes_all_threads(self, cost: int) -> bool:
        """Tell whether a lone batch of that cost is to be run by all threads."""
        if self.seconds(cost) < THREADS_GAIN_S:
            return False
        if (lone := self._lone.get(cost.bit_length())) is None:
            lone = self._lone[cost.bit_length()] = _Lone()
        lone.count += 1
        one, all_ = lone.recent
        if not (one and all_):
            is_better, every = self._profile.is_faster_multithreaded, THREADS_TRIED_EVERY
        else:
            one_s, all_s = median_low(one), median_low(all_)
            is_better = all_s < WORTH_IT * one_s
            is_far = max(one_s, all_s) > FAR_SLOWER * min(one_s, all_s)
            every = THREADS_TRIED_SELDOM if is_far else THREADS_TRIED_EVERY
        return is_better if lone.count % every else not is_better

    def measured_lone(self, cost: int, wall_s: float, *, is_multithreaded: bool) -> None:
        """A batch ran while nothing else did."""
        if lone := self._lone.get(cost.bit_length()):
            lone.recent[is_multithreaded].append(wall_s / cost)

    def measured(self, priority: Priority, *, cost: int, size: int, elapsed_s: float, cpu_s: float) -> None:
        """A batch was run by one thread.

        Args:
            priority: of its entries.
            cost: of its entries together.
            size: what the budget counts: the same if it was packed, rows x longest otherwise.
            elapsed_s: from its start to its end as the event loop sees it.
            cpu_s: of its thread.
        """
        self._lanes[priority].add(cost, elapsed_s)
        self._know_rates()
        if cost <= COSTS[0]:
            self._small.setdefault(cost.bit_length(), _Throughput()).add(cost, cpu_s)
        nearest = 1 << max(0, round(math.log2(max(size, 1))))
        if nearest not in COSTS or cpu_s <= 0:
            return
        rate = cost / cpu_s
        self._rates[nearest] = rate + (1 - SMOOTHING) * (self._rates.get(nearest, rate) - rate)
        if nearest >= self._profile.batch_cost:
            self._choose()

    def measured_body(self, size: int, cost: int) -> None:
        """A request whose body has that many bytes was prepared."""
        self._cost_of_byte += SMOOTHING * (cost / size - self._cost_of_byte)

    def cost_of_body(self, size: int) -> int:
        """The cost of a request whose body has that many bytes, as far as others tell."""
        return max(1, round(self._cost_of_byte * size))

    def _know_rates(self) -> None:
        """Of a priority that had no batch yet, the other's; or the profile's."""
        interactive, bulk = self._lanes["interactive"].rate, self._lanes["bulk"].rate
        guess = self._profile.rate or CAUTIOUS_RATE
        self._rate_of: dict[Priority, float] = {
            "interactive": interactive or bulk or guess,
            "bulk": bulk or interactive or guess,
        }

    def _choose(self) -> None:
        if self._profile.batch_cost in self._rates:  # else too little is known to leave it
            self._profile = self._profile.with_rates(self._rates)
