"""What is best on this machine, measured before an encoder has served: where `app.engine.pace` begins.

How large a batch should be, how fast a small one is, and whether a lone input gains by more threads.

Large batches only gain until the matrix products saturate the core; from there on they cost latency, and
padding for an encoder that pads. Where that is depends on the encoder and on the machine, so a few forward
passes are timed. The smallest batch that is about as good as the best one is taken; the best one
where so much waits that only throughput counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle

from app.engine.queue import Budget
from bundle import Encoder, Prepared

COSTS = (64, 128, 256, 512, 1024, 2048)
DEFAULT = 256  # for an encoder that gives no examples to measure with
GOOD_ENOUGH = 0.95  # of the best rate
AS_GOOD = 0.99  # of it, where nothing else counts: a hundredth is within what measuring errs by
REPEATS = 3
MULTITHREADED_REPEATS = 9
WORTH_IT = 0.9  # of the time; threads that wait for each other take cores from other processes
ENOUGH_S = 0.25  # a longer batch is not tried: it would block a worker for too long


@dataclass(frozen=True, slots=True)
class BatchProfile:
    """The pace of an encoder on one thread of this machine; costs are rows x longest, or the sum if packed.

    Attributes:
        rates: size of a batch to cost per second.
        is_faster_multithreaded: a batch that has the machine to itself is sooner done by all threads.
        batch_cost: of the batches that are best where latency counts.
        deep_cost: of those that are best where much waits.
    """

    rates: Mapping[int, float] = field(default_factory=dict)
    is_faster_multithreaded: bool = False
    batch_cost: int = DEFAULT
    deep_cost: int = DEFAULT

    @property
    def rate(self) -> float:
        """Cost per second of small batches; 0 if that is not known."""
        return self.rates[min(self.rates)] if self.rates else 0.0

    def with_rates(self, rates: Mapping[int, float]) -> BatchProfile:
        """The same with rates measured anew, and the sizes that are best by them."""
        if not rates:
            return self
        best = max(rates.values())

        def smallest(share: float) -> int:
            return min(size for size, rate in rates.items() if rate >= share * best)

        return replace(self, rates=dict(rates), batch_cost=smallest(GOOD_ENOUGH), deep_cost=smallest(AS_GOOD))


def profile_encoder(encoder: Encoder, examples: Sequence[Prepared]) -> BatchProfile:
    """Measure all of it."""
    is_faster = is_multithreading_faster(encoder, examples)
    return replace(profile_batches(encoder, examples), is_faster_multithreaded=is_faster)


def profile_batches(
    encoder: Encoder, examples: Sequence[Prepared], clock: Callable[[], float] = time.thread_time
) -> BatchProfile:
    """Measure batches of each size.

    Timed by the CPU time of this thread, which runs the whole pass: other processes may come between.
    """
    if not examples:
        return BatchProfile()
    seconds: dict[int, float] = {}
    batches = {cost: _batch(examples, Budget(cost, encoder.is_packed)) for cost in COSTS}
    for _ in range(REPEATS):  # in turns: the machine may be slow for a while
        for cost, batch in batches.items():
            seconds[cost] = min(seconds.get(cost, math.inf), _timed(encoder.run, batch, clock))
            if seconds[cost] > ENOUGH_S:
                break
    rates = {cost: sum(one.cost for one in batches[cost]) / max(s, 1e-9) for cost, s in seconds.items()}
    return BatchProfile().with_rates(rates)


def is_multithreading_faster(
    encoder: Encoder, examples: Sequence[Prepared], clock: Callable[[], float] = time.perf_counter
) -> bool:
    """Tell whether one input by itself is sooner done by all threads than by one."""
    if not (encoder.has_multithreaded and examples):
        return False
    batch = [max(examples, key=lambda one: one.cost)]
    together = alone = math.inf
    for _ in range(
        MULTITHREADED_REPEATS
    ):  # in turns, and the best of each: others may want the cores for a while
        together = min(together, _timed(encoder.run, batch, clock))
        alone = min(alone, _timed(encoder.run_multithreaded, batch, clock))
    return alone < WORTH_IT * together


def _batch(examples: Sequence[Prepared], budget: Budget) -> list[Prepared]:
    """Examples in turn, one at least, as many as the budget holds."""
    batch: list[Prepared] = []
    for one in cycle(examples):
        costs = [each.cost for each in (*batch, one)]
        if batch and not budget.holds(len(costs), sum(costs), max(costs)):
            return batch
        batch.append(one)
    raise AssertionError("cycle ends only for no examples")


def _timed(
    run: Callable[[Sequence[Prepared]], object], batch: Sequence[Prepared], clock: Callable[[], float]
) -> float:
    started_s = clock()
    run(batch)
    return clock() - started_s
