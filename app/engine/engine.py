"""The one door: `await engine.encode(loaded, inputs, ...)`. Bounded, so that overload is refused at once.

    admission (items) -> equal inputs once -> [cache] -> prepare -> admission (time) -> batcher -> Encoded

Cost is what the encoder's preprocessor says: tokens, or rows of features with their lists. It is known before
the queue, and the pace of the encoder makes time of it: who would wait too long, or be done too late, is told
so at once. The limits in items and cost bound memory.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from app.engine.batcher import Batcher, Observer
from app.engine.cache import CachedRow, ResultCache
from app.engine.encoded import Encoded, Timings
from app.engine.errors import DeadlineExceeded, Draining, Overloaded, TooMuchWork
from app.engine.forecast import SHORTEST_S, Trust
from app.engine.pace import SMOOTHING, Priority
from app.engine.preparation import Distinct, are_small
from app.engine.registry import Loaded
from app.engine.shared_load import SharedLoad
from bundle import Input, Prepared, Truncate

T = TypeVar("T")
SHORTEST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
ROUNDING_S = 1e-9  # less than any request takes
NOTHING: Mapping[Loaded, float] = {}
FEW = 64  # inputs, or requests, in work at once are no crowd
WAY = 0.95  # of the time left, what may be used: an answer has to be written, too
HOPELESS = 2.0  # times the time that there is: what alone takes longer is refused, however idle the engine


class Engine:
    """Encodes for many callers at once, on one event loop.

    Args:
        workers: forward passes at once; as many threads prepare.
        batch_cost: most cost of a forward pass; by default what was measured for each encoder.
        max_queue_items: most inputs in the engine.
        max_queue_cost: most cost that may wait.
        max_wait_s: longest wait of interactive work before its own turn.
        longest_pass_s: a forward pass that takes longer hangs.
        observer: is told of every batch.
        cache: of results, if any.
        shared_load: the work of engines beside this one, which counts towards the limits.
        clock: seconds; monotonic.
    """

    def __init__(
        self,
        *,
        workers: int,
        batch_cost: int | None,
        max_queue_items: int,
        max_queue_cost: int,
        max_wait_s: float,
        longest_pass_s: float,
        observer: Observer,
        cache: ResultCache | None = None,
        shared_load: SharedLoad | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_items, self._max_cost, self._max_wait_s = max_queue_items, max_queue_cost, max_wait_s
        self._clock = clock
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
        self._shared_load = shared_load
        self.cache = cache
        watching = observer if shared_load is None else _Telling(observer, self._tell)
        self._batcher = Batcher(
            workers=workers, budget=batch_cost, longest_s=longest_pass_s, observer=watching, clock=clock
        )
        self._is_closed = False
        self._trust = Trust()
        self._arriving: dict[Loaded, float] = {}  # seconds let in by the head, not queued yet
        self._byte_s = 0.0  # work of a byte of a body, over the last ones
        self.items = 0  # in the engine: being prepared, waiting or running

    async def encode(
        self,
        loaded: Loaded,
        inputs: Sequence[Input],
        *,
        truncate: Truncate,
        timeout_s: float,
        priority: Priority = "interactive",
        owner: str = "",
        size: int = 0,
        use_cache: bool = True,
    ) -> Encoded:
        """Vectors for the inputs (n >= 1).

        Work of the bulk priority yields to interactive work, and may fill half of the queue. Results are
        kept for their owner: how fast another's answer comes tells nothing of what he asked for; without the
        cache, none is read or kept. The size of the body, in bytes, tells what others of that size will cost;
        0 if that is not known.

        Raises:
            InputError: for the first input that cannot be encoded.
            Overloaded, Draining: at once, before any forward pass.
            TooMuchWork: it could not be done in time by an idle engine either.
            DeadlineExceeded: what was still waiting is dropped.
            NumericalError, EncoderFailed, EncoderHangs: for one of the inputs.
        """
        self._admit(len(inputs), priority)
        self.items += len(inputs)
        self._tell()
        try:
            how = _How(truncate, self._clock() + timeout_s, priority, owner, size)
            if self.cache is not None and use_cache:
                return await self._remember(self.cache, loaded, inputs, how)
            return await self._encode(loaded, inputs, how)
        except TimeoutError:
            raise DeadlineExceeded(timeout_s) from None
        finally:
            self.items -= len(inputs)
            self._tell()

    async def _remember(
        self, cache: ResultCache, loaded: Loaded, inputs: Sequence[Input], how: _How
    ) -> Encoded:
        """Take from the cache what is there, and compute what is not."""
        began_s = self._clock()

        def keyed() -> tuple[Distinct, list[bytes]]:
            distinct, key = Distinct.of(inputs), loaded.encoder.key
            which = (loaded.manifest.digest, how.owner, how.truncate)  # the towers of a pair share a space
            return distinct, [cache.key(*which, key(one)) for one in distinct.inputs]

        distinct, keys = keyed() if are_small(inputs) else await self._on_thread(keyed, how)
        timings, computed = Timings(self._clock() - began_s, 0.0, 0.0), 0

        async def compute(indices: Sequence[int]) -> None:
            nonlocal timings, computed
            done = await self._encode(loaded, inputs, how, only=distinct.only(indices))
            timings, computed = done.timings, computed + len(indices)
            lookup.put(indices, list(map(CachedRow.of, done.vectors, done.facts)))

        with cache.look_up(keys, how.priority) as lookup:
            if lookup.missing:
                await compute(lookup.missing)
        async with self._until(how):
            lost = await lookup.wait_for_others()
        if lost:
            await compute(lost)
        rows = [row for row in lookup.rows if row is not None]
        vectors = np.stack([row.vector for row in rows])  # [n, dim]
        done = Encoded(vectors, [row.facts for row in rows], timings, cached=len(rows) - computed)
        return distinct.spread(done)

    async def _encode(
        self, loaded: Loaded, inputs: Sequence[Input], how: _How, only: Distinct | None = None
    ) -> Encoded:
        """Vectors and facts of the inputs, or of some of them only."""
        began_s = self._clock()
        if are_small(inputs if only is None else only.inputs):
            distinct = Distinct.of(inputs) if only is None else only
            prepared = distinct.prepared(loaded.encoder, how.truncate)
        else:
            distinct = await self._distinct(inputs, how) if only is None else only
            prepared = await self._in_slices(loaded, distinct, how)
        if (arrival := ARRIVAL.get()) is not None:
            arrival.end()
        cost = sum([one.cost for one in prepared])
        own_s = self._batcher.own_s(loaded, how.priority, cost)
        if how.size and only is None:
            loaded.pace.measured_body(how.size, cost)
            self._byte_s += SMOOTHING * (own_s / how.size - self._byte_s)
        self._admit_cost(cost, how.priority)
        forecast_s = self._admit_work(loaded, cost, own_s, len(prepared), how)
        self._tell(arriving=cost)
        prepared_s = self._clock()
        try:
            pending = await self._batcher.run(
                loaded, prepared, how.deadline_s, indices=distinct.indices, priority=how.priority
            )
        except TimeoutError:
            self._trust.learn(forecast_s, math.inf)
            raise
        self._trust.learn(forecast_s, pending.finished_s - prepared_s)
        assert pending.started_s is not None
        done = Encoded(
            vectors=pending.vectors,
            facts=[one.facts for one in prepared],
            timings=Timings(
                prepare_s=prepared_s - began_s,
                queue_s=pending.started_s - prepared_s,
                run_s=pending.finished_s - pending.started_s,
            ),
        )
        return distinct.spread(done)

    async def _distinct(self, inputs: Sequence[Input], how: _How) -> Distinct:
        """Compare large inputs, if there are several."""
        return Distinct.of(inputs) if len(inputs) == 1 else await self._on_thread(Distinct.of, how, inputs)

    async def _in_slices(self, loaded: Loaded, distinct: Distinct, how: _How) -> list[Prepared]:
        """Prepare the inputs, some after others; no more than have room in the queue."""
        prepared, cost = list[Prepared](), 0
        is_one = len(distinct.inputs) == 1  # to a thread and back takes as long as decoding base64 of 50 kB
        for part in [distinct] if is_one else await self._on_thread(distinct.slices, how):
            done = await self._on_thread(part.prepared, how, loaded.encoder, how.truncate)
            cost += sum([one.cost for one in done])
            self._admit_cost(cost, how.priority)
            prepared += done
        return prepared

    async def _on_thread(self, work: Callable[..., T], how: _How, *arguments: Any) -> T:
        """The result of work that would keep the event loop. Raises TimeoutError."""
        async with self._until(how):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _until(self, how: _How) -> asyncio.Timeout:
        """Raises TimeoutError inside at the deadline; the batcher has its own."""
        return asyncio.timeout(how.deadline_s - self._clock())

    def check_capacity(
        self,
        candidates: Callable[[], Sequence[Loaded]],
        priority: Priority,
        *,
        timeout_s: float = math.inf,
        size: int = 0,
    ) -> None:
        """Raise Overloaded or Draining if a request would have to, before it is parsed.

        Args:
            candidates: encoders that it may be for; asked for only where it matters.
            priority: of the request.
            timeout_s: of the request.
            size: bytes of its body; its work is as much as that of others of this size.
        """
        self._admit(1, priority)
        if self.cache is not None or not (self._batcher.is_busy or self._arriving):
            return  # it may need no room in the queue
        self._admit_cost(1, priority)
        if self._is_soon(self._batcher.work_s + self.arriving_s, size * self._byte_s, timeout_s / 2):
            return  # most of the time
        how = _How("none", self._clock() + timeout_s, priority, owner="", size=size)
        refusals = [
            self._refusal(loaded, loaded.pace.cost_of_body(size), how, self._arriving)
            for loaded in candidates()
        ]
        if all(refusals) and refusals:
            raise min(filter(None, refusals), key=lambda refusal: refusal.retry_after_s or 0.0)

    def expect(self, loaded: Loaded, priority: Priority, size: int) -> Arrival:
        """Count a request that `check_capacity` has let in as work, until it is in the queue, or is over.

        Args:
            loaded: the encoder that it is for, as far as is known.
            priority: of the request.
            size: bytes of its body, all of which are there: nobody reserves what he may never send.
        """
        own_s = self._batcher.own_s(loaded, priority, loaded.pace.cost_of_body(size))
        arrival = Arrival(self._arriving, loaded, own_s)
        ARRIVAL.set(arrival)
        return arrival

    @property
    def arriving_s(self) -> float:
        """Seconds of work that was let in by its head, and is not in the queue yet."""
        return sum(self._arriving.values())

    def close(self) -> None:
        """Refuse what comes and what waits."""
        self._is_closed = True
        self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def queued(self, loaded: Loaded) -> tuple[int, int]:
        """Waiting inputs of an encoder, and their cost."""
        return self._batcher.queued(loaded)

    @property
    def is_calm(self) -> bool:
        """So little is in work that a small request is not worth a look ahead before it is parsed."""
        return self.items < min(FEW, self._max_items // 2)

    @property
    def items_in_all(self) -> int:
        """Inputs in this engine and in those beside it."""
        return self.items + (self._shared_load.others()[0] if self._shared_load else 0)

    @property
    def stalled_s(self) -> float:
        """The time for which there has been work without any batch ending: the engine's heartbeat."""
        return self._batcher.stalled_s

    def _admit(self, items: int, priority: Priority) -> None:
        if self._is_closed:
            raise Draining
        in_work, limit = self.items_in_all, _limit(self._max_items, priority)
        # Into an empty engine every request is let, or one within the limits could be refused for ever.
        if in_work and in_work + items > limit:
            raise _overloaded(f"{in_work} inputs are in work, the limit is {limit}")

    def _admit_cost(self, cost: int, priority: Priority) -> None:
        if self._is_closed:
            raise Draining
        queued = self._batcher.queued_cost + (self._shared_load.others()[1] if self._shared_load else 0)
        limit = _limit(self._max_cost, priority)
        if queued and queued + cost > limit:
            raise _overloaded(f"work of a cost of {queued} waits, the limit is {limit}")

    def _admit_work(self, loaded: Loaded, cost: int, own_s: float, rows: int, how: _How) -> float:
        """When the work will be done, as far as is known; 0 where it has nothing to wait for.

        Raises Overloaded if others' work would make it late, TooMuchWork if its own would.
        """
        left_s, work_s = how.deadline_s - self._clock(), self._batcher.work_s
        wait_s = self._batcher.wait_s(loaded, how.priority, cost, NOTHING) if work_s > SHORTEST_S else 0.0
        if self._is_soon(work_s, own_s, left_s):
            return wait_s and wait_s + own_s
        if self._batcher.is_busy and (refusal := self._refusal(loaded, cost, how)) is not None:
            raise refusal
        if own_s > HOPELESS * left_s and loaded.pace.is_measured:
            raise TooMuchWork(own_s, left_s, max(1, int(rows * left_s / own_s)))
        return wait_s and wait_s + own_s

    def _is_soon(self, wait_s: float, own_s: float, left_s: float) -> bool:
        """Whatever else is asked of it, the work will be done in time."""
        wait_s *= self._trust.factor
        return wait_s <= self._max_wait_s and wait_s + own_s <= WAY * left_s

    def _refusal(
        self, loaded: Loaded, cost: int, how: _How, arriving: Mapping[Loaded, float] = NOTHING
    ) -> Overloaded | None:
        """Say why work is not let in, if it is not: behind what waits, and what is about to."""
        wait_s = self._trust.factor * self._batcher.wait_s(loaded, how.priority, cost, arriving)
        if how.priority == "interactive" and wait_s > self._max_wait_s:
            why = f"there is work for about {wait_s:.1f} s before yours, the limit is {self._max_wait_s:g} s"
            return _overloaded(why, wait_s - self._max_wait_s)
        left_s = how.deadline_s - self._clock()
        done_s = wait_s + self._batcher.own_s(loaded, how.priority, cost)
        if done_s > WAY * left_s and wait_s > 0:
            why = f"yours would be done in about {done_s:.1f} s, and {max(0.0, left_s):.1f} s are left for it"
            return _overloaded(why, done_s - left_s)
        return None

    def _tell(self, arriving: int = 0) -> None:
        if self._shared_load is not None:
            self._shared_load.publish(self.items, self._batcher.queued_cost + arriving)


@dataclass(eq=False, slots=True)
class Arrival:
    """A request that is let in, and not in the queue yet: others that come meanwhile wait for it, too."""

    arriving: dict[Loaded, float]
    loaded: Loaded
    seconds: float

    def __post_init__(self) -> None:
        self.arriving[self.loaded] = self.arriving.get(self.loaded, 0.0) + self.seconds

    def end(self) -> None:
        """It is in the queue, or will never be."""
        if not self.seconds:
            return
        left_s, self.seconds = self.arriving.pop(self.loaded, 0.0) - self.seconds, 0.0
        if left_s > ROUNDING_S:
            self.arriving[self.loaded] = left_s


ARRIVAL: ContextVar[Arrival | None] = ContextVar("arrival", default=None)
"""Of the request that is answered."""


@dataclass(frozen=True, slots=True)
class _Telling:
    """An observer that says after each batch what still waits, and passes on what it was told."""

    observer: Observer
    tell: Callable[[], None]

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        self.tell()
        self.observer.batch(loaded, rows=rows, run_s=run_s)


def _overloaded(why: str, retry_s: float = SHORTEST_RETRY_S) -> Overloaded:
    retry_s = min(max(retry_s, SHORTEST_RETRY_S), LONGEST_RETRY_S)
    return Overloaded(f"the server is busy: {why}; try again in {retry_s:.0f} s", retry_s)


def _limit(most: int, priority: Priority) -> int:
    """Bulk work leaves room for callers that wait."""
    return max(1, most // 2) if priority == "bulk" else most


class _How(NamedTuple):
    """What a request wants of the engine."""

    truncate: Truncate
    deadline_s: float
    priority: Priority
    owner: str
    size: int
