"""Puts the inputs of many callers into shared forward passes, on worker threads.

A batch starts the moment a worker is free, and while all are busy requests gather: there is no timer to
tune. What arrives in one turn of the event loop goes together, and is split over the workers when several
are free; one that has the machine to itself gets all its threads. Encoders take turns; bulk work yields to
interactive work, but for one batch after every three. Callers that went away are dropped before padding.
When a batch fails its rows are run again one by one, so that only the culprit errs; nothing that native code
throws stops a worker.

Lives on one event loop; only `run_isolated` runs on other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from app.engine.errors import Draining, EncoderFailed, EngineError, NumericalError
from app.engine.queue import Budget, Entry, Queue
from app.engine.registry import Loaded
from bundle import Prepared

SMOOTHING = 0.2  # weight of the newest batch in the measured rate
SMALLEST_SHARE = 4  # a batch is split over free workers down to a quarter of the budget, not further
DEEP = 2  # interactive batches for every worker that wait: then all are served soonest by best throughput
BULK_EVERY = 4  # batches, of which bulk work gets one while interactive work waits
HAND_OVER_S = 0.2e-3  # of CPU time, to a thread and back, while both want Python's lock
LONGEST_INLINE_S = 0.01  # of one thread; who comes meanwhile waits, and would for the cores as well

Run: TypeAlias = Callable[[Sequence[Prepared]], npt.NDArray[np.float32]]
Priority: TypeAlias = Literal["interactive", "bulk"]


class Observer(Protocol):
    """Somebody who is told what happened."""

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        """A forward pass ended."""
        ...


@dataclass(eq=False, slots=True)
class PendingRequest:
    """One request in the batcher: collects its rows as their batches end.

    Attributes:
        done: resolved when no row is missing, or one failed.
        indices: of its rows among the inputs of the request, for errors.
        vectors: float32 [n, dim], once the first row is there.
    """

    done: asyncio.Future[None]
    indices: Sequence[int]
    missing: int
    enqueued_s: float
    started_s: float | None = None
    finished_s: float = 0.0
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def deliver(self, row: int, vector: npt.NDArray[np.float32], now_s: float) -> None:
        """Take one row."""
        if not len(self.vectors):
            self.vectors = np.empty((self.missing, len(vector)), dtype=np.float32)  # [n, d]
        self.vectors[row] = vector
        self.missing -= 1
        if self.missing == 0 and not self.done.done():
            self.finished_s = now_s
            self.done.set_result(None)

    def fail(self, error: EngineError | TimeoutError) -> None:
        """One row failed, and with it the request; or its time is over."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True)
class BatchOutcome:
    """What a batch gave.

    Attributes:
        vectors: float32 [n, dim]; rows named in `failures` mean nothing.
        failures: position in the batch to what was raised; None for a vector that is not finite.
    """

    vectors: npt.NDArray[np.float32]
    failures: Mapping[int, BaseException | None]


class Batcher:
    """Queues, one per encoder and priority, and the threads that serve them.

    Args:
        workers: forward passes at once.
        budget: most cost of a batch: rows x longest, or the sum for an encoder that is packed; by default
            what was measured for each encoder.
        observer: is told of every batch.
        clock: seconds; monotonic.
    """

    def __init__(
        self,
        *,
        workers: int,
        budget: int | None,
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers, self._budget, self._observer, self._clock = workers, budget, observer, clock
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="forward")
        self._running = self._since_bulk = 0  # the other: interactive batches since the last bulk one
        self._is_waking = False
        self._queues: dict[tuple[Loaded, Priority], Queue] = {}  # in the order of their turns
        self._rates: dict[Loaded, float] = {}  # cost per second of a worker
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
        timer = loop.call_later(deadline_s - now_s, pending.fail, TimeoutError())
        try:
            await pending.done
        except BaseException:  # a row failed, the deadline passed or the caller went away
            queue.drop(pending)
            raise
        finally:
            timer.cancel()
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

    @property
    def drain_s(self) -> float:
        """The time that the work which waits will take, at the rate measured so far."""
        waits = (
            queue.cost / self._rates[loaded]
            for (loaded, _), queue in self._queues.items()
            if loaded in self._rates
        )
        return sum(waits) / self._workers

    @property
    def stalled_s(self) -> float:
        """The time for which there has been work without any batch ending."""
        return self._clock() - self._progress_s if self._is_busy else 0.0

    @property
    def _is_busy(self) -> bool:
        return self._running > 0 or any(self._queues.values())

    def _start_batches(self) -> None:
        self._is_waking = False
        while self._running < self._workers and (turn := self._turn()) is not None:
            loaded, priority = turn
            queue, now_s = self._queues[turn], self._clock()
            if batch := queue.take(self._share(loaded, priority, queue), now_s):
                self._since_bulk = 0 if priority == "bulk" else self._since_bulk + 1
                self._start(loaded, batch, now_s)

    def _turn(self) -> tuple[Loaded, Priority] | None:
        """Whose turn it is; None when nothing waits. Bulk work that just had one never goes first."""
        preferred = "bulk" if self._since_bulk >= BULK_EVERY - 1 else "interactive"
        waiting = [key for key, queue in self._queues.items() if len(queue)]
        if not waiting:
            return None
        key = next((key for key in waiting if key[1] == preferred), waiting[0])
        self._queues[key] = self._queues.pop(key)  # to the end: encoders take turns
        return key

    def _share(self, loaded: Loaded, priority: Priority, queue: Queue) -> Budget:
        """The budget, or less when what waits can be split over several free workers.

        Bulk work has no large batches, however much of it waits: an interactive caller waits for one to end.
        """
        profile = loaded.profile
        is_deep = priority == "interactive" and queue.cost > DEEP * self._workers * profile.batch_cost
        budget = self._budget or (profile.deep_cost if is_deep else profile.batch_cost)
        share = -(-queue.cost // (self._workers - self._running))
        return Budget(min(budget, max(share, budget // SMALLEST_SHARE)), loaded.encoder.is_packed)

    def _start(self, loaded: Loaded, batch: list[Entry], now_s: float) -> None:
        for entry in batch:
            pending = _request_of(entry)
            pending.started_s = now_s if pending.started_s is None else pending.started_s
        prepared = [entry.prepared for entry in batch]
        loop = asyncio.get_running_loop()
        alone = loaded.is_faster_multithreaded and not self._is_busy
        run = loaded.encoder.run_multithreaded if alone else loaded.encoder.run
        expected_s = loaded.profile.seconds(sum(entry.cost for entry in batch))
        if expected_s <= (LONGEST_INLINE_S if alone else HAND_OVER_S):
            future = loop.create_future()
            future.set_result(run_isolated(run, prepared))
        else:
            future = loop.run_in_executor(self._pool, run_isolated, run, prepared)
        future.add_done_callback(partial(self._finish, loaded, batch, now_s))
        self._running += 1

    def _finish(
        self, loaded: Loaded, batch: list[Entry], started_s: float, future: asyncio.Future[BatchOutcome]
    ) -> None:
        self._running -= 1
        if future.cancelled():  # closed before a thread took it up
            for entry in batch:
                _request_of(entry).fail(Draining())
            return
        now_s = self._progress_s = self._clock()
        self._start_batches()  # first of all: threads idle until then
        self._measure(loaded, sum(entry.cost for entry in batch), now_s - started_s)
        _hand_out(batch, future.result(), now_s)
        self._observer.batch(loaded, rows=len(batch), run_s=now_s - started_s)

    def _measure(self, loaded: Loaded, cost: int, run_s: float) -> None:
        rate = cost / max(run_s, 1e-6)
        self._rates[loaded] = rate + (1 - SMOOTHING) * (self._rates.get(loaded, rate) - rate)


def run_isolated(run: Run, batch: Sequence[Prepared]) -> BatchOutcome:
    """One forward pass; when it fails, one per row."""
    try:
        vectors = run(batch)
        assert len(vectors) == len(batch), (len(vectors), len(batch))
    except BaseException as error:  # pyo3's PanicException is no Exception
        if len(batch) == 1:
            return BatchOutcome(np.empty((1, 0), np.float32), {0: error})
        return _run_singly(run, batch)
    if np.isfinite(vectors).all():
        return BatchOutcome(vectors, {})
    finite = np.isfinite(vectors).all(axis=1)
    return BatchOutcome(vectors, {int(row): None for row in np.flatnonzero(~finite)})


def _run_singly(run: Run, batch: Sequence[Prepared]) -> BatchOutcome:
    outcomes = [run_isolated(run, [one]) for one in batch]
    failures = {row: outcome.failures[0] for row, outcome in enumerate(outcomes) if outcome.failures}
    dim = max(outcome.vectors.shape[1] for outcome in outcomes)
    vectors = np.zeros((len(batch), dim), dtype=np.float32)
    for row, outcome in enumerate(outcomes):
        if row not in failures:
            vectors[row] = outcome.vectors[0]
    return BatchOutcome(vectors, failures)


def _hand_out(batch: Sequence[Entry], outcome: BatchOutcome, now_s: float) -> None:
    for position, entry in enumerate(batch):
        pending = _request_of(entry)
        if position not in outcome.failures:
            pending.deliver(entry.row, outcome.vectors[position], now_s)
            continue
        cause, index = outcome.failures[position], pending.indices[entry.row]
        error = NumericalError(index) if cause is None else EncoderFailed(index)
        error.__cause__ = cause
        pending.fail(error)


def _request_of(entry: Entry) -> PendingRequest:
    assert isinstance(entry.group, PendingRequest), type(entry.group)
    return entry.group
