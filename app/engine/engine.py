"""The one door: `await engine.encode(loaded, inputs, ...)`. Bounded, so that overload is refused at once.

    admission (items) -> equal inputs once -> [cache] -> prepare -> admission (cost) -> batcher -> Encoded

Small requests are prepared where they are: handing 50 us of tokenising to a thread and back costs as much
again. What is larger goes to a thread, so that the event loop never waits for it.

Cost is what the encoder's preprocessor says: tokens, or 1 for a row of features. It is known before the
queue, so the queue can be bounded by the work it holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from app.engine.batcher import Batcher, Lane, Observer
from app.engine.cache import ResultCache, Row
from app.engine.errors import DeadlineExceeded, Draining, EncoderFailed, Overloaded
from app.engine.registry import Loaded
from app.engine.shared_load import SharedLoad
from bundle import Encoder, Facts, Input, InputError, Prepared, Truncate

SHORTEST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
SMALL = 1000  # characters prepared on the event loop: 0.2 ms as a rule, 6 ms for the worst scripts


@dataclass(frozen=True)
class Timings:
    """Where a request's time went, in seconds.

    Attributes:
        prepare_s: checking and tokenising, with the wait for a thread.
        queue_s: from there to its first forward pass.
        run_s: from there to the end of its last one.
    """

    prepare_s: float
    queue_s: float
    run_s: float


@dataclass(frozen=True)
class Encoded:
    """The answer of the engine.

    Attributes:
        vectors: float32 [n, dim], in the order of the inputs, every one finite.
        facts: what the caller is told, one per input.
        cached: inputs that were not computed for this request; None without a cache.
    """

    vectors: npt.NDArray[np.float32]
    facts: Sequence[Facts]
    timings: Timings
    cached: int | None = None

    @property
    def tokens(self) -> int:
        """The number of tokens read; an input of a kind without tokens counts as one."""
        return sum([max(1, facts.tokens) for facts in self.facts])


class Engine:
    """Encodes for many callers at once, on one event loop.

    Args:
        workers: forward passes at once; as many threads prepare.
        batch_cost: most cost of a forward pass; by default what was measured for each encoder.
        max_queue_items: most inputs in the engine.
        max_queue_cost: most cost that may wait.
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
        observer: Observer,
        cache: ResultCache | None = None,
        shared_load: SharedLoad | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_items, self._max_cost, self._clock = max_queue_items, max_queue_cost, clock
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="prepare")
        self._shared_load = shared_load
        self.cache = cache
        watching = observer if shared_load is None else _Telling(observer, self._tell)
        self._batcher = Batcher(workers=workers, budget=batch_cost, observer=watching, clock=clock)
        self._is_closed = False
        self.items = 0  # in the engine: being prepared, waiting or running

    async def encode(
        self,
        loaded: Loaded,
        inputs: Sequence[Input],
        *,
        truncate: Truncate,
        timeout_s: float,
        lane: Lane = "interactive",
    ) -> Encoded:
        """Vectors for the inputs (n >= 1).

        Work of the bulk lane yields to interactive work, and may fill half of the queue.

        Raises:
            InputError: for the first input that cannot be encoded.
            Overloaded, Draining: at once, before any work.
            DeadlineExceeded: what was still waiting is dropped.
            NumericalError, EncoderFailed: for one of the inputs.
        """
        self._admit(len(inputs), lane)
        self.items += len(inputs)
        self._tell()
        try:
            distinct, how = _Distinct.of(inputs), _How(truncate, self._clock() + timeout_s, lane)
            if self.cache is None:
                done = await self._encode(loaded, distinct, how)
            else:
                done = await self._remember(self.cache, loaded, distinct, how)
            return distinct.spread(done)
        except TimeoutError:
            raise DeadlineExceeded(timeout_s) from None
        finally:
            self.items -= len(inputs)
            self._tell()

    async def _remember(self, cache: ResultCache, loaded: Loaded, distinct: _Distinct, how: _How) -> Encoded:
        """From the cache what is there, computed what is not."""
        began_s = self._clock()
        space, encoder = loaded.manifest.space, loaded.encoder
        keys = [cache.key(space, how.truncate, encoder.key(one)) for one in distinct.inputs]
        timings, computed = Timings(self._clock() - began_s, 0.0, 0.0), 0

        async def compute(places: Sequence[int]) -> None:
            nonlocal timings, computed
            done = await self._encode(loaded, distinct.only(places), how)
            timings, computed = done.timings, computed + len(places)
            claim.put(places, list(map(Row.of, done.vectors, done.facts)))

        with cache.claim(keys, how.lane) as claim:
            if claim.missing:
                await compute(claim.missing)
        async with self._until(how):
            lost = await claim.arrivals()
        if lost:
            await compute(lost)
        rows = [row for row in claim.rows if row is not None]
        vectors = np.stack([row.vector for row in rows])  # [n, dim]
        return Encoded(vectors, [row.facts for row in rows], timings, cached=len(rows) - computed)

    async def _encode(self, loaded: Loaded, distinct: _Distinct, how: _How) -> Encoded:
        """Vectors and facts of the distinct inputs."""
        began_s = self._clock()
        if sum(one.size for one in distinct.inputs) <= SMALL:
            prepared = _prepare(loaded.encoder, distinct, how.truncate)
        else:
            loop = asyncio.get_running_loop()
            async with self._until(how):
                prepared = await loop.run_in_executor(
                    self._threads, _prepare, loaded.encoder, distinct, how.truncate
                )
        cost = sum(one.cost for one in prepared)
        self._admit_cost(cost, how.lane)
        self._tell(arriving=cost)
        prepared_s = self._clock()
        ticket = await self._batcher.run(
            loaded, prepared, how.deadline_s, places=distinct.places, lane=how.lane
        )
        assert ticket.started_s is not None
        return Encoded(
            vectors=ticket.vectors,
            facts=[one.facts for one in prepared],
            timings=Timings(
                prepare_s=prepared_s - began_s,
                queue_s=ticket.started_s - prepared_s,
                run_s=ticket.finished_s - ticket.started_s,
            ),
        )

    def _until(self, how: _How) -> asyncio.Timeout:
        """Raises TimeoutError inside at the deadline; the batcher has its own."""
        return asyncio.timeout(how.deadline_s - self._clock())

    def check_room(self, lane: Lane = "interactive") -> None:
        """Raise Overloaded or Draining if every request of that lane would have to: before it is read."""
        self._admit(1, lane)
        if self.cache is None:  # else it may need no room in the queue
            self._admit_cost(1, lane)

    def close(self) -> None:
        """Refuse what comes and what waits."""
        self._is_closed = True
        self._batcher.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def queued(self, loaded: Loaded) -> tuple[int, int]:
        """Waiting inputs of an encoder, and their cost."""
        return self._batcher.queued(loaded)

    @property
    def items_in_all(self) -> int:
        """Inputs in this engine and in those beside it."""
        return self.items + (self._shared_load.others()[0] if self._shared_load else 0)

    @property
    def stalled_s(self) -> float:
        """How long there has been work without any batch ending: the engine's heartbeat."""
        return self._batcher.stalled_s

    def _admit(self, items: int, lane: Lane) -> None:
        if self._is_closed:
            raise Draining
        in_work, limit = self.items_in_all, _limit(self._max_items, lane)
        # Into an empty engine every request is let, or one within the limits could be refused for ever.
        if in_work and in_work + items > limit:
            raise self._overloaded(f"{in_work} inputs are in work, the limit is {limit}")

    def _admit_cost(self, cost: int, lane: Lane) -> None:
        if self._is_closed:
            raise Draining
        queued = self._batcher.queued_cost + (self._shared_load.others()[1] if self._shared_load else 0)
        limit = _limit(self._max_cost, lane)
        if queued and queued + cost > limit:
            raise self._overloaded(f"work of a cost of {queued} waits, the limit is {limit}")

    def _tell(self, arriving: int = 0) -> None:
        if self._shared_load is not None:
            self._shared_load.publish(self.items, self._batcher.queued_cost + arriving)

    def _overloaded(self, why: str) -> Overloaded:
        retry_s = min(max(self._batcher.drain_s, SHORTEST_RETRY_S), LONGEST_RETRY_S)
        return Overloaded(f"the server is busy: {why}; try again in {retry_s:.0f} s", retry_s)


@dataclass(frozen=True, slots=True)
class _Telling:
    """An observer that says after each batch what still waits, and passes on what it was told."""

    observer: Observer
    tell: Callable[[], None]

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        self.tell()
        self.observer.batch(loaded, rows=rows, run_s=run_s)


def _limit(most: int, lane: Lane) -> int:
    """Bulk work leaves room for callers that wait."""
    return max(1, most // 2) if lane == "bulk" else most


@dataclass(frozen=True, slots=True)
class _How:
    """What a request wants of the engine."""

    truncate: Truncate
    deadline_s: float
    lane: Lane


@dataclass(frozen=True, slots=True)
class _Distinct:
    """The inputs of a request, equal ones once.

    Attributes:
        inputs: each for the first time.
        places: where each of these stands in the request.
        rows: for each input of the request, which of these it is.
    """

    inputs: Sequence[Input]
    places: Sequence[int]
    rows: Sequence[int]

    @classmethod
    def of(cls, inputs: Sequence[Input]) -> _Distinct:
        if len(inputs) == 1:
            return cls(inputs, (0,), (0,))
        row_of: dict[Hashable, int] = {}
        places: list[int] = []
        rows: list[int] = []
        for place, one in enumerate(inputs):
            row = row_of.setdefault(one.key, len(places))
            if row == len(places):
                places.append(place)
            rows.append(row)
        return cls([inputs[place] for place in places], places, rows)

    def only(self, which: Sequence[int]) -> _Distinct:
        """Some of them."""
        if len(which) == len(self.inputs):
            return self
        return _Distinct([self.inputs[one] for one in which], [self.places[one] for one in which], ())

    def spread(self, done: Encoded) -> Encoded:
        """One row per distinct input -> one per input of the request."""
        if len(self.places) == len(self.rows):
            return done
        rows = list(self.rows)
        return replace(done, vectors=done.vectors[rows], facts=[done.facts[row] for row in rows])


def _prepare(encoder: Encoder, distinct: _Distinct, truncate: Truncate) -> list[Prepared]:
    try:
        return encoder.prepare(distinct.inputs, truncate)
    except InputError as error:
        raise InputError(distinct.places[error.index], error.code, error.reason, error.path) from error
    except Exception:
        raise
    except BaseException as panic:  # pyo3's PanicException is no Exception, and would end the connection
        raise EncoderFailed from panic
