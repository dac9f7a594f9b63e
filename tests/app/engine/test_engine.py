"""The engine by itself: sharing, isolation, turns, deadlines, cancellation. No HTTP here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tiny
from engines import PATIENCE_S, encode, encode_texts, engine_of, settled

from app.engine import (
    BatchProfile,
    DeadlineExceeded,
    Draining,
    EncoderFailed,
    EncoderHangs,
    Loaded,
    NumericalError,
    Pace,
    Registry,
)
from app.engine.batcher import HAND_OVER_S, LONGEST_INLINE_S
from bundle import InputError, Prepared, Text

SAME = 1e-5  # float32 through another batch shape
POISON = tiny.WORDS.index("red")


class PanicException(BaseException):
    """Like pyo3's: not an Exception."""


def is_poison(one: Prepared) -> bool:
    return POISON in one.arrays["input_ids"]


def raising(batch: Sequence[Prepared]) -> None:
    if any(map(is_poison, batch)):
        raise ValueError("the text was: red")


def panicking(batch: Sequence[Prepared]) -> None:
    if any(map(is_poison, batch)):
        raise PanicException


async def test_many_callers_share_a_forward_pass(fake: Any) -> None:
    """What arrives while the one worker is busy goes together, and everyone gets their own vector."""
    encoder, engine = fake(), engine_of()
    loaded = Loaded(encoder)
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    others = [asyncio.create_task(encode(engine, loaded, text)) for text in ("cat", "dog", "mat")]
    await settled(lambda: engine.queued(loaded)[0] == 3)
    encoder.gate.set()
    results = await asyncio.gather(first, *others)

    assert encoder.batches == [1, 3]
    alone = encoder._real.encode([Text(text) for text in ("hello", "cat", "dog", "mat")])
    np.testing.assert_allclose(np.concatenate([one.vectors for one in results]), alone, atol=SAME)
    engine.close()


@pytest.mark.parametrize("spoil", [raising, panicking])
async def test_only_the_culprit_errs(fake: Any, spoil: Callable[..., None]) -> None:
    encoder, engine = fake(spoil), engine_of()
    loaded = Loaded(encoder)
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    good = asyncio.create_task(encode(engine, loaded, "cat", "dog"))
    bad = asyncio.create_task(encode(engine, loaded, "cat", "red"))
    await settled(lambda: engine.queued(loaded)[0] == 4)
    encoder.gate.set()

    with pytest.raises(EncoderFailed) as caught:
        await bad
    assert caught.value.param == "inputs[1]"
    assert "text was" not in str(caught.value)
    np.testing.assert_allclose(
        (await good).vectors, encoder._real.encode([Text("cat"), Text("dog")]), atol=SAME
    )
    await first
    assert (await encode(engine, loaded, "mat")).vectors.shape == (1, tiny.DIM)  # not wedged
    engine.close()


@pytest.mark.parametrize("rate", [0.0, 1e9])
async def test_a_vector_that_is_not_finite_is_an_error_of_its_request_alone(fake: Any, rate: float) -> None:
    def spoil(batch: Sequence[Prepared]) -> np.ndarray:
        rows = [[np.nan if is_poison(one) else 1.0] * tiny.DIM for one in batch]
        return np.array(rows, dtype=np.float32)

    encoder, engine = fake(spoil), engine_of()
    loaded = Loaded(encoder, pace=Pace(BatchProfile(rates={64: rate} if rate else {})))
    good, bad = await asyncio.gather(
        encode(engine, loaded, "cat"), encode(engine, loaded, "dog", "red"), return_exceptions=True
    )
    assert np.isfinite(good.vectors).all()
    assert isinstance(bad, NumericalError)
    assert bad.param == "inputs[1]"
    engine.close()


async def test_an_encoder_that_always_fails_does_not_wedge_the_engine(fake: Any) -> None:
    """Every request gets its error; the last one as fast as the first."""

    def spoil(batch: Sequence[Prepared]) -> None:
        raise MemoryError

    engine = engine_of()
    loaded = Loaded(fake(spoil))
    for _ in range(20):
        with pytest.raises(EncoderFailed):
            await encode(engine, loaded, "cat", "dog")
    assert (engine.items, engine.stalled_s, engine.queued(loaded)) == (0, 0.0, (0, 0))
    engine.close()


async def test_a_panic_while_preparing_is_an_error(fake: Any) -> None:
    encoder, engine = fake(), engine_of()

    def prepare(*_: Any) -> Any:
        raise PanicException

    encoder.prepare = prepare
    with pytest.raises(EncoderFailed):
        await encode(engine, Loaded(encoder), "cat")
    assert engine.items == 0
    engine.close()


async def test_a_bad_input_never_reaches_the_queue(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    with pytest.raises(InputError) as caught:
        await encode(engine, Loaded(encoder), "cat", "the " * 20)
    assert (caught.value.param, encoder.batches, engine.items) == ("inputs[1]", [], 0)
    engine.close()


async def test_a_deadline_passed_in_the_queue_is_never_run(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    loaded = Loaded(encoder)
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    with pytest.raises(DeadlineExceeded):
        await encode(engine, loaded, "cat", timeout_s=0.05)
    assert engine.queued(loaded) == (0, 0)
    encoder.gate.set()
    await first
    assert encoder.batches == [1]
    engine.close()


async def test_cancelled_callers_are_dropped_from_the_queue(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    loaded = Loaded(encoder)
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    leaving = asyncio.create_task(encode(engine, loaded, "cat", "dog"))
    staying = asyncio.create_task(encode(engine, loaded, "mat"))
    await settled(lambda: engine.queued(loaded)[0] == 3)
    leaving.cancel()
    await settled(lambda: engine.queued(loaded)[0] == 1)
    encoder.gate.set()
    await asyncio.gather(first, staying)
    assert encoder.batches == [1, 1]
    assert engine.items == 0
    engine.close()


async def test_a_hung_forward_pass_stops_the_heartbeat(fake: Any) -> None:
    clock = [0.0]
    encoder, engine = fake(), engine_of(clock=lambda: clock[0])
    loaded = Loaded(encoder)
    clock[0] = 100.0
    assert engine.stalled_s == 0  # nothing to do is not a stall
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    clock[0] = 130.0
    assert engine.stalled_s == 30
    encoder.gate.set()
    await running
    assert engine.stalled_s == 0
    engine.close()


async def test_one_hung_thread_of_two_is_noticed(fake: Any) -> None:
    """However many passes end beside it."""
    clock = [0.0]
    hung, healthy, engine = fake(), fake(), engine_of(workers=2, clock=lambda: clock[0])
    other = Loaded(healthy)
    hung.hold()
    running = asyncio.create_task(encode(engine, Loaded(hung), "hello", timeout_s=1000))
    await settled(hung.entered.is_set)
    for _ in range(5):
        clock[0] += 4
        await encode(engine, other, "cat", timeout_s=1000)
    assert engine.stalled_s == 20
    hung.gate.set()
    await running
    assert engine.stalled_s == 0
    engine.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_hung_pass_is_given_up_and_another_thread_takes_its_place(fake: Any, workers: int) -> None:
    hung, healthy, engine = fake(), fake(), engine_of(workers=workers, longest_pass_s=0.05)
    hung.hold()
    with pytest.raises(EncoderHangs, match=r"within 0\.05 s"):
        await encode(engine, Loaded(hung), "hello")
    assert len((await encode(engine, Loaded(healthy), "cat", "dog")).vectors) == 2
    assert engine.stalled_s > 0.05  # it still hangs, which whoever watches is to know
    hung.gate.set()
    await settled(lambda: engine.stalled_s == 0)
    assert engine.items == 0
    engine.close()


async def test_encoders_take_turns(fake: Any) -> None:
    """A flood for one does not shut out the other."""
    engine = engine_of(batch_cost=1)
    flooded, other = fake(), fake()
    flooded.hold()
    one, two = Loaded(flooded), Loaded(other)
    flood = asyncio.create_task(encode(engine, one, *["cat"] * 50))
    await settled(flooded.entered.is_set)
    small = asyncio.create_task(encode(engine, two, "dog"))
    await settled(lambda: engine.queued(two)[0] == 1)
    flooded.gate.set()
    await small
    assert len(flooded.batches) < 10
    await flood
    engine.close()


async def test_closing_refuses_what_waits_and_what_comes(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    loaded = Loaded(encoder)
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    waiting = asyncio.create_task(encode(engine, loaded, "cat"))
    await settled(lambda: engine.queued(loaded)[0] == 1)
    engine.close()
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(Draining):
        await encode(engine, loaded, "dog")
    encoder.gate.set()
    assert (await running).vectors.shape == (1, tiny.DIM)


async def test_timings_add_up(fake: Any, registry: Registry) -> None:
    engine = engine_of()
    started_s = time.monotonic()
    timings = (await encode(engine, registry.find("text"), "hello")).timings
    wall_s = time.monotonic() - started_s
    parts = (timings.prepare_s, timings.queue_s, timings.run_s)
    assert min(parts) >= 0
    assert sum(parts) <= wall_s
    engine.close()


async def test_bulk_work_yields_to_interactive_work_but_is_not_shut_out(fake: Any) -> None:
    """One batch in four while both wait."""
    order: list[str] = []

    def spoil(batch: Sequence[Prepared]) -> None:
        order.append("bulk" if tiny.WORDS.index("dog") in batch[0].arrays["input_ids"] else "interactive")

    encoder, engine = fake(spoil), engine_of(batch_cost=1)
    loaded = Loaded(encoder)
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    bulk = asyncio.create_task(encode_texts(engine, loaded, ["dog", "dog the", "dog a"], priority="bulk"))
    await settled(lambda: engine.queued(loaded)[0] == 3)
    interactive = asyncio.create_task(
        encode_texts(engine, loaded, ["cat", "mat", "red", "blue", "lamp", "on", "ran"])
    )
    await settled(lambda: engine.queued(loaded)[0] == 10)
    encoder.gate.set()
    await asyncio.gather(first, bulk, interactive)

    assert order.count("bulk") == 3
    assert [priority for priority in order if priority == "bulk"] != order[:3]
    assert order[:4] == ["interactive", "interactive", "interactive", "bulk"]
    engine.close()


@pytest.mark.parametrize("passed", range(1, 6))
async def test_a_single_request_waits_for_the_bulk_batch_that_runs_and_for_no_other(
    fake: Any, passed: int
) -> None:
    """However many batches of bulk work went before, while nobody else was there."""
    order: list[str] = []
    dogs = ["dog", "dog the", "dog a", "dog on", "dog ran", "dog cat", "dog mat"]
    loop, arrived, singles = asyncio.get_running_loop(), threading.Event(), list[asyncio.Task[Any]]()

    async def arrive() -> None:
        singles.append(asyncio.create_task(encode(engine, loaded, "hello")))
        await settled(lambda: engine.queued(loaded)[0] == len(dogs) - passed + 1)
        arrived.set()

    def spoil(batch: Sequence[Prepared]) -> None:
        order.append("bulk" if tiny.WORDS.index("dog") in batch[0].arrays["input_ids"] else "interactive")
        if len(order) == passed:
            asyncio.run_coroutine_threadsafe(arrive(), loop)
            arrived.wait(PATIENCE_S)

    engine, loaded = engine_of(batch_cost=1), Loaded(fake(spoil))
    await encode_texts(engine, loaded, dogs, priority="bulk")
    await asyncio.gather(*singles)

    assert order.index("interactive") == passed
    engine.close()


async def test_what_waits_is_split_over_free_workers(fake: Any) -> None:
    """A worker that could help does not watch another one do it all."""
    encoder, engine = fake(), engine_of(workers=2, batch_cost=8)
    await encode(engine, Loaded(encoder), "cat", "dog", "mat", "red")

    assert encoder.batches == [2, 2]
    engine.close()


@pytest.mark.parametrize(
    ("waiting", "priority", "batches"),
    [(4, "interactive", [2, 2]), (5, "interactive", [4, 1]), (5, "bulk", [2, 2, 1])],
)
async def test_batches_are_larger_where_more_interactive_work_waits_than_two_of_them(
    fake: Any, waiting: int, priority: str, batches: list[int]
) -> None:
    encoder, engine = fake(), engine_of(batch_cost=None)
    loaded = Loaded(encoder, pace=Pace(BatchProfile(batch_cost=2, deep_cost=4)))
    await encode_texts(engine, loaded, ["cat", "dog", "sat", "mat", "hello"][:waiting], priority=priority)

    assert encoder.batches == batches
    engine.close()


async def test_a_batch_that_has_the_machine_to_itself_gets_all_threads(fake: Any) -> None:
    encoder = fake()
    encoder.has_multithreaded = True
    alone: list[int] = []

    def run_multithreaded(batch: Sequence[Prepared]) -> np.ndarray:
        alone.append(len(batch))
        vectors: np.ndarray = encoder.run(batch)
        return vectors

    encoder.run_multithreaded = run_multithreaded
    profile, engine = BatchProfile(is_faster_multithreaded=True), engine_of(workers=2)
    await encode(engine, Loaded(encoder, pace=Pace(profile)), "cat")
    assert alone == [1]

    loaded = Loaded(encoder, pace=Pace(profile))
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "cat"))
    await settled(lambda: len(alone) == 2)
    beside = asyncio.create_task(encode(engine, loaded, "dog", "sat"))
    await settled(lambda: sum(encoder.batches) == 4)
    encoder.gate.set()
    await asyncio.gather(first, beside)
    assert alone == [1, 1]


@pytest.mark.parametrize(
    ("is_faster_multithreaded", "limit_s"), [(False, HAND_OVER_S), (True, LONGEST_INLINE_S)]
)
async def test_a_short_batch_runs_on_the_event_loops_own_thread(
    fake: Any, is_faster_multithreaded: bool, limit_s: float
) -> None:
    """Up to two tokens here: as much as handing over takes, or more where nothing else is in work."""
    encoder, engine = fake(), engine_of()
    encoder.has_multithreaded = True
    threads: dict[int, int] = {}  # rows of the batch -> where it ran
    run = encoder.run

    def observed(batch: Sequence[Prepared]) -> np.ndarray:
        threads[len(batch)] = threading.get_ident()
        vectors: np.ndarray = run(batch)
        return vectors

    encoder.run = encoder.run_multithreaded = observed
    profile = BatchProfile({64: 2.5 / limit_s}, is_faster_multithreaded=is_faster_multithreaded)
    small = await encode(engine, Loaded(encoder, pace=Pace(profile)), "cat", "dog")
    await encode(engine, Loaded(encoder, pace=Pace(profile)), "cat", "dog", "sat")

    assert threads[2] == threading.get_ident() != threads[3]
    assert np.abs(small.vectors - (await encode(engine, Loaded(encoder), "cat", "dog")).vectors).max() <= SAME


async def test_a_batch_that_may_not_end_is_never_run_on_the_event_loop(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    encoder.has_loops, where = True, list[int]()
    run = encoder.run

    def observed(batch: Sequence[Prepared]) -> np.ndarray:
        where.append(threading.get_ident())
        vectors: np.ndarray = run(batch)
        return vectors

    encoder.run = observed
    await encode(engine, Loaded(encoder, pace=Pace(BatchProfile({64: 1e9}))), "cat")
    assert threading.get_ident() not in where
    engine.close()


async def test_a_batch_beside_others_is_never_run_inline_for_being_alone(fake: Any) -> None:
    encoder, engine = fake(), engine_of(workers=2)
    loaded = Loaded(
        encoder, pace=Pace(BatchProfile({64: 2.0 / LONGEST_INLINE_S}, is_faster_multithreaded=True))
    )
    encoder.run_multithreaded = encoder.run
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "cat", "dog", "sat"))
    await settled(lambda: encoder.batches == [3])
    second = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(lambda: encoder.batches == [3, 1])  # waits at the gate, and the loop goes on
    encoder.gate.set()
    await asyncio.gather(first, second)
