"""Puts the inputs of many callers into shared forward passes, on worker threads.

A batch starts the moment a worker is free, and while all are busy requests gather: there is no timer to
tune. What arrives in one turn of the event loop goes together, and is split over the workers when several
are free; one that has the machine to itself may get all its threads. Encoders take turns; bulk work yields
to interactive work, but for one batch after every three. Callers that went away are dropped before padding.
A pass that hangs is given up: its callers get an error, and another thread takes the place of its own.

Lives on one event loop; only `run_isolated` runs on other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from app.engine.deadlines import Deadlines
from app.engine.errors import Draining, EncoderHangs
from app.engine.forecast import BULK_SHARE, Waiting, wait_s
from app.engine.isolation import BatchOutcome, run_isolated
from app.engine.pace import Priority
from app.engine.pending import PendingRequest, hand_out, request_of
from app.engine.queue import Budget, Entry, Queue
from app.engine.registry import Loaded
from bundle import Prepared

SMALLEST_SHARE = 4  # a batch is split over free workers down to a quarter of the budget, not further
DEEP = 2  # interactive batches for every worker that wait: then all are served soonest by best throughput
HAND_OVER_S = 0.6e-3  # of CPU time, to a thread and back, while both want Python's lock and wake for nothing
LONGEST_INLINE_S = 0.01  # of one thread; who comes meanwhile waits, and would for the cores as well


class Observer(Protocol):
    """Somebody who is told what happened."""

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        """A forward pass ended."""
        ...


@dataclass(eq=False, slots=True)
class _Pass:
    """A forward pass that runs.

    Attributes:
        cost: of its entries together.
        expected_s: that it takes, by the rate when it began.
        is_lone: nothing else ran or waited when it began.
        is_multithreaded: it has all threads of the machine.
        given_up: its callers wait no more, and its thread is not counted on.
    """

    loaded: Loaded
    priority: Priority
    batch: Sequence[Entry]
    cost: int
    started_s: float
    expected_s: float
    is_lone: bool
    is_multithreaded: bool = False
    given_up: bool = False
    timer: asyncio.TimerHandle | None = None


class Batcher:
    """Queues, one per encoder and priority, and the threads that serve them.

    Args:
        workers: forward passes at once.
        budget: most cost of a batch: rows x longest, or the sum for an encoder that is packed; by default
            what was measured for each encoder.
        longest_s: a pass that takes longer hangs.
        observer: is told of every batch.
        clock: seconds; monotonic.
    """

    def __init__(
        self,
        *,
        workers: int,
        budget: int | None,
        longest_s: float,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers, self._budget, self._observer, self._clock = workers, budget, observer, clock
        self._longest_s = longest_s
        self._pool = self._new_pool()
        self._passes: dict[_Pass, None] = {}  # that run, or hang; the oldest first
        self._running = self._since_bulk = 0  # the other: interactive batches since the last bulk one
        self._is_waking = False
        self._queues: dict[tuple[Loaded, Priority], Queue] = {}  # in the order of their turns
        self._deadlines = Deadlines(clock)
        self._progress_s = clock()

    async def run(
        self,
        loaded: Loaded,
        prepared: Sequence[Prepared],
        deadline_s: float,
        *,
        indices: Sequence[int],
        priority: Priority = "interactive",
    ) -> PendingRequest:
        """Wait for the vectors of one request.

        Raises:
            NumericalError, EncoderFailed: for one of its inputs.
            EncoderHangs: a forward pass with some of its inputs did not end.
            Draining: the batcher was closed.
            TimeoutError: the deadline passed.
        """
        now_s = self._clock()
        if not self._is_busy:
            self._progress_s = now_s
        loop = asyncio.get_running_loop()
        pending = PendingRequest(loop.create_future(), indices, len(prepared), now_s)
        queue = self._queues.setdefault((loaded, priority), Queue())
        queue.put(Entry(one, pending, row, deadline_s) for row, one in enumerate(prepared))
        if not self._is_waking and self._running < self._workers:
            self._is_waking = True
            loop.call_soon(self._start_batches)  # after the others that this turn of the loop brought
        tick = self._deadlines.add(pending, deadline_s)
        try:
            await pending.done
        except BaseException:  # a row failed, the deadline passed or the caller went away
            queue.drop(pending)
            self._forget_empty((loaded, priority), queue)
            raise
        finally:
            self._deadlines.remove(pending, tick)
        return pending

    def close(self) -> None:
        """Refuse what waits; what runs on a thread ends by itself."""
        for queue in self._queues.values():
            for pending in queue.groups():
                assert isinstance(pending, PendingRequest)
                pending.fail(Draining())
        self._queues.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def queued(self, loaded: Loaded) -> tuple[int, int]:
        """Waiting inputs of an encoder, and their cost."""
        queues = [queue for (whose, _), queue in self._queues.items() if whose is loaded]
        return sum(map(len, queues)), sum(queue.cost for queue in queues)

    @property
    def queued_cost(self) -> int:
        """Cost of all that waits."""
        return sum([queue.cost for queue in self._queues.values()])

    def own_s(self, loaded: Loaded, priority: Priority, cost: int) -> float:
        """Seconds of all workers together that work takes, at the rate measured."""
        return cost / (loaded.pace.rate(priority) * self._workers)

    @property
    def work_s(self) -> float:
        """Seconds until all that waits or runs is done: nobody who arrives now waits longer."""
        waiting_s = 0.0
        for (whose, priority), queue in self._queues.items():
            if queue.cost:
                waiting_s += self.own_s(whose, priority, queue.cost)
        return waiting_s + self._running_s()

    def wait_s(
        self, loaded: Loaded, priority: Priority, cost: int, arriving: Mapping[Loaded, float]
    ) -> float:
        """Seconds until work that arrives now would be done, less those it takes by itself.

        Args:
            loaded: whose work it is.
            priority: of it.
            cost: of it.
            arriving: seconds of interactive work that came before, by encoder, and is not in the queue yet.
        """
        ahead_s, others = arriving.get(loaded, 0.0), []
        for whose, seconds in arriving.items():
            if whose is not loaded:
                others.append(Waiting("interactive", seconds))
        for (whose, which), queue in self._queues.items():
            if whose is loaded and which == priority:
                ahead_s += self.own_s(whose, which, queue.cost)
            elif queue.cost:
                others.append(Waiting(which, self.own_s(whose, which, queue.cost)))
        waiting_s = wait_s(priority, self.own_s(loaded, priority, cost), ahead_s, others)
        return waiting_s + self._running_s()

    @property
    def stalled_s(self) -> float:
        """The time for which the oldest forward pass has run, or for which work waits and none runs."""
        now_s = self._clock()
        if self._passes:
            return now_s - next(iter(self._passes)).started_s
        return now_s - self._progress_s if self._is_busy else 0.0

    @property
    def is_busy(self) -> bool:
        """Something runs, hangs or waits."""
        return bool(self._passes) or any(self._queues.values())

    @property
    def _is_busy(self) -> bool:
        return self._running > 0 or any(self._queues.values())

    def _running_s(self) -> float:
        """Seconds until what runs is done, 0 if a worker is free; what is late will be as late again."""
        if self._running < self._workers:
            return 0.0
        now_s, left_s = self._clock(), 0.0
        for one in self._passes:
            if not one.given_up:
                left_s += abs(one.started_s + one.expected_s - now_s)
        return left_s / self._workers

    def _start_batches(self) -> None:
        self._is_waking = False
        while self._running < self._workers and (turn := self._turn()) is not None:
            loaded, priority = turn
            queue, now_s = self._queues[turn], self._clock()
            batch = queue.take(self._share(loaded, priority, queue), now_s)
            self._forget_empty(turn, queue)
            if batch:
                self._since_bulk = 0 if priority == "bulk" else self._since_bulk + 1
                self._start(loaded, priority, batch, now_s)

    def _turn(self) -> tuple[Loaded, Priority] | None:
        """Whose turn it is; None when nothing waits. Bulk work that just had one never goes first."""
        preferred = "bulk" if self._since_bulk >= BULK_SHARE else "interactive"
        waiting = [key for key, queue in self._queues.items() if len(queue)]
        if not waiting:
            return None
        key = next((key for key in waiting if key[1] == preferred), waiting[0])
        self._queues[key] = self._queues.pop(key)  # to the end: encoders take turns
        return key

    def _forget_empty(self, whose: tuple[Loaded, Priority], queue: Queue) -> None:
        """Or it would keep an encoder that is loaded no more."""
        if not queue and self._queues.get(whose) is queue:
            del self._queues[whose]

    def _share(self, loaded: Loaded, priority: Priority, queue: Queue) -> Budget:
        """The budget, or less when what waits can be split over several free workers.

        Bulk work has no large batches, however much of it waits: an interactive caller waits for one to end.
        """
        pace = loaded.pace
        is_deep = priority == "interactive" and queue.cost > DEEP * self._workers * pace.profile.batch_cost
        budget = self._budget or pace.budget(is_deep=is_deep)
        share = -(-queue.cost // (self._workers - self._running))
        return Budget(min(budget, max(share, budget // SMALLEST_SHARE)), loaded.encoder.is_packed)

    def _start(self, loaded: Loaded, priority: Priority, batch: list[Entry], now_s: float) -> None:
        for entry in batch:
            pending = request_of(entry)
            pending.started_s = now_s if pending.started_s is None else pending.started_s
        cost, prepared = sum([entry.cost for entry in batch]), [entry.prepared for entry in batch]
        encoder, pace, loop = loaded.encoder, loaded.pace, asyncio.get_running_loop()
        this = _Pass(loaded, priority, batch, cost, now_s, cost / pace.rate(priority), not self._is_busy)
        this.is_multithreaded = this.is_lone and encoder.has_multithreaded and pace.takes_all_threads(cost)
        run = encoder.run_multithreaded if this.is_multithreaded else encoder.run
        expected_s = pace.seconds(cost, is_multithreaded=this.is_multithreaded)
        self._running += 1
        self._passes[this] = None
        longest_s = LONGEST_INLINE_S if this.is_multithreaded else HAND_OVER_S
        if expected_s <= longest_s and not encoder.has_loops:  # nobody could give it up here
            future: asyncio.Future[BatchOutcome] = loop.create_future()
            future.set_result(run_isolated(run, prepared))
        else:
            future = loop.run_in_executor(self._pool, run_isolated, run, prepared)
            this.timer = loop.call_later(self._longest_s, self._give_up, this)
        future.add_done_callback(partial(self._finish, this))

    def _finish(self, this: _Pass, future: asyncio.Future[BatchOutcome]) -> None:
        del self._passes[this]
        if this.timer is not None:
            this.timer.cancel()
        if this.given_up:
            return
        self._running -= 1
        if future.cancelled():  # closed before a thread took it up
            for entry in this.batch:
                request_of(entry).fail(Draining())
            return
        now_s = self._progress_s = self._clock()
        self._start_batches()  # first of all: threads idle until then
        outcome, elapsed_s = future.result(), now_s - this.started_s
        self._measure(this, outcome, elapsed_s)
        hand_out(this.batch, outcome, now_s)
        self._observer.batch(this.loaded, rows=len(this.batch), run_s=elapsed_s)

    def _give_up(self, this: _Pass) -> None:
        """Go on without a pass that hangs, and without its thread, which nobody can end."""
        this.given_up = True
        self._running -= 1
        self._pool.shutdown(wait=False)  # its other passes end
        self._pool = self._new_pool()
        for entry in this.batch:
            request_of(entry).fail(EncoderHangs(self._longest_s))
        self._start_batches()

    def _measure(self, this: _Pass, outcome: BatchOutcome, elapsed_s: float) -> None:
        pace, cost = this.loaded.pace, this.cost
        if outcome.failures:  # it ran several times
            return
        if this.is_lone:
            pace.measured_lone(cost, outcome.wall_s, is_multithreaded=this.is_multithreaded)
        if this.is_multithreaded:
            return
        longest = max([entry.cost for entry in this.batch])
        pace.measured(
            this.priority,
            cost=cost,
            size=cost if this.loaded.encoder.is_packed else longest * len(this.batch),
            elapsed_s=elapsed_s,
            cpu_s=outcome.cpu_s,
        )

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._workers, thread_name_prefix="forward")
