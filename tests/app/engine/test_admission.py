"""What the engine lets in: by items, by cost, and by time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny
from engines import encode, encode_texts, engine_of, settled

from app.engine import BatchProfile, Engine, Loaded, Model, Overloaded, Pace, Registry, TooMuchWork
from app.shared.scoreboard import Field, Scoreboard, WorkerSlot
from bundle import Text

LONG = [f"{one} cat dog" for one in tiny.WORDS[1:10]]  # different, of three or four tokens


@pytest.mark.parametrize("limits", [{"max_queue_items": 3}, {"max_queue_cost": 2}])
async def test_overload_is_refused_at_once(fake: Any, limits: dict[str, int]) -> None:
    encoder, engine = fake(), engine_of(**limits)
    loaded = Loaded(encoder)
    await encode(engine, loaded, "warm", "up")  # so that there is a rate to go by
    encoder.hold()
    accepted = [asyncio.create_task(encode(engine, loaded, "hello"))]
    await settled(encoder.entered.is_set)
    accepted.append(asyncio.create_task(encode(engine, loaded, "cat", "dog")))
    await settled(lambda: engine.queued(loaded)[0] == 2)

    with pytest.raises(Overloaded) as caught:
        await encode(engine, loaded, "mat")
    assert not any(one.done() for one in accepted)  # it waited for none of them
    assert 1 <= caught.value.retry_after_s <= 60

    encoder.gate.set()
    assert all(one.vectors.shape[1] == tiny.DIM for one in await asyncio.gather(*accepted))
    engine.close()


async def test_work_that_would_wait_too_long_is_refused_at_once(fake: Any) -> None:
    """Ten tokens a second: what waits takes three seconds, and another encoder's callers are let in."""
    clock = [0.0]
    encoder, engine = fake(), engine_of(max_wait_s=2.0, clock=lambda: clock[0])
    loaded, other = (Loaded(encoder, pace=Pace(BatchProfile({64: 10.0}))) for _ in range(2))
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello", timeout_s=60))
    await settled(encoder.entered.is_set)
    waiting = asyncio.create_task(encode(engine, loaded, *["cat dog sat"] * 10, timeout_s=60))
    await settled(lambda: engine.queued(loaded)[0] == 1)  # equal ones once
    more = asyncio.create_task(encode(engine, loaded, *LONG, timeout_s=60))
    await settled(lambda: engine.queued(loaded)[0] == 1 + len(LONG))

    with pytest.raises(Overloaded, match=r"work for about 3\.\d s before yours, the limit is 2 s") as caught:
        await encode(engine, loaded, "mat", timeout_s=60)
    assert 1 <= caught.value.retry_after_s <= 2
    beside = asyncio.create_task(encode(engine, other, "mat", timeout_s=60))
    await settled(lambda: engine.queued(other)[0] == 1)

    encoder.gate.set()
    await asyncio.gather(running, waiting, more, beside)
    await encode(engine, loaded, "mat")
    engine.close()


async def test_work_that_would_be_late_is_refused_at_once(fake: Any) -> None:
    """However short the wait may be that the server allows, the caller allows less."""
    encoder, engine = fake(), engine_of(clock=lambda: 0.0)
    loaded = Loaded(encoder, pace=Pace(BatchProfile({64: 10.0})))
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello", timeout_s=60))
    await settled(encoder.entered.is_set)
    with pytest.raises(Overloaded, match=r"done in about 0\.\d s, and 0\.1 s are left"):
        await encode(engine, loaded, "cat dog", timeout_s=0.1)
    encoder.gate.set()
    await running
    engine.close()


async def test_bulk_work_may_wait_longer(fake: Any) -> None:
    encoder, engine = fake(), engine_of(max_wait_s=0.5, clock=lambda: 0.0)
    loaded = Loaded(encoder, pace=Pace(BatchProfile({64: 10.0})))
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello"))
    await settled(encoder.entered.is_set)
    waiting = [asyncio.create_task(encode_texts(engine, loaded, LONG[:3], priority="bulk"))]
    await settled(lambda: engine.queued(loaded)[0] == 3)
    waiting.append(asyncio.create_task(encode_texts(engine, loaded, LONG[3:6], priority="bulk")))
    await settled(lambda: engine.queued(loaded)[0] == 6)
    encoder.gate.set()
    await asyncio.gather(running, *waiting)
    engine.close()


async def test_work_that_is_hopeless_is_refused_by_an_idle_engine(fake: Any) -> None:
    """Once the rate is known: then it is no guess, and says how much would do."""
    engine, loaded = engine_of(), Loaded(fake())
    for _ in range(3):
        await encode(engine, loaded, "cat")
    tokens_s = 3 * len(LONG) / loaded.pace.rate("interactive")
    with pytest.raises(TooMuchWork, match=r"send about [1-9] like these") as caught:
        await encode(engine, loaded, *LONG, timeout_s=tokens_s / 4)
    assert caught.value.param == "inputs"
    engine.close()


@pytest.mark.parametrize("late_s", [0.0, 5.0])
async def test_by_the_head_only_what_no_model_would_take_is_refused(fake: Any, late_s: float) -> None:
    """A pass that is late is taken to be as late again: nobody is let in behind one that hangs."""
    clock = [0.0]
    encoder, engine = fake(), engine_of(max_wait_s=2.0, clock=lambda: clock[0])
    loaded = Loaded(encoder)
    registry = Registry({"text": Model("text", "1", {"1": loaded})})
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello", timeout_s=60))
    await settled(encoder.entered.is_set)
    clock[0] = late_s
    if late_s:
        with pytest.raises(Overloaded, match=r"about 5\.0 s before yours"):
            engine.check_capacity(lambda: registry.loaded, "interactive")
    else:
        engine.check_capacity(lambda: registry.loaded, "interactive")
    encoder.gate.set()
    await running
    engine.close()


@asynccontextmanager
async def _busy(fake: Any, **limits: float) -> AsyncIterator[tuple[Engine, Loaded]]:
    """An engine with a pass that does not end, which has learnt that a token is in ten bytes of a body."""
    encoder, engine = fake(), engine_of(**limits)
    loaded = Loaded(encoder)
    for _ in range(30):
        await engine.encode(loaded, [Text("cat")], truncate="none", timeout_s=60, size=10)
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello", timeout_s=60))
    await settled(encoder.entered.is_set)
    yield engine, loaded
    encoder.gate.set()
    await running
    engine.close()


async def test_what_is_about_to_be_queued_counts_before_it_is(fake: Any) -> None:
    """Or all that come while the first is parsed would be let in, and refused when that work is done."""
    async with _busy(fake, max_wait_s=1.0) as (engine, loaded):
        size = int(2 * loaded.pace.rate("interactive"))  # a fifth of a second

        def come() -> Any:
            engine.check_capacity(lambda: [loaded], "interactive", timeout_s=60, size=size)
            return engine.expect(loaded, "interactive", size)

        let_in = [come()]
        with pytest.raises(Overloaded):
            let_in.extend(come() for _ in range(100))
        other = Loaded(fake(), pace=loaded.pace)  # takes turns with it, so nothing of it waits for all that
        engine.check_capacity(lambda: [other], "interactive", timeout_s=60, size=1)
        for arrival in let_in * 2:  # ending twice is ending once
            arrival.end()
        engine.check_capacity(lambda: [loaded], "interactive", timeout_s=60, size=1)
        assert engine.arriving_s == pytest.approx(0)


async def test_the_first_to_come_count_before_anything_runs(fake: Any) -> None:
    """Of a burst in one turn of the event loop, nothing is in the queue until all were looked at."""
    engine, loaded = engine_of(max_wait_s=1.0), Loaded(fake(), pace=Pace(BatchProfile({64: 10.0})))
    loaded.pace.measured_body(10, 100)  # tokens

    def come() -> Any:
        engine.check_capacity(lambda: [loaded], "interactive", timeout_s=60, size=100)
        return engine.expect(loaded, "interactive", 100)

    let_in = [come()]
    with pytest.raises(Overloaded, match="work for about"):
        let_in.extend(come() for _ in range(100))
    for arrival in let_in:
        arrival.end()
    assert come().seconds > 1.0
    engine.close()


async def test_by_the_head_a_request_costs_as_much_as_others_of_its_size(fake: Any) -> None:
    async with _busy(fake) as (engine, loaded):
        second = int(10 * loaded.pace.rate("interactive"))
        engine.check_capacity(lambda: [loaded], "interactive", timeout_s=2.0, size=10)
        with pytest.raises(Overloaded, match="would be done in about"):
            engine.check_capacity(lambda: [loaded], "interactive", timeout_s=2.0, size=3 * second)


async def test_a_request_over_the_queue_limit_is_let_into_an_empty_engine(fake: Any) -> None:
    """Or it could be refused for ever."""
    engine = engine_of(max_queue_items=1, max_queue_cost=1)
    encoded = await encode(engine, Loaded(fake()), "hello world", "cat", "dog")
    assert len(encoded.vectors) == 3
    engine.close()


async def test_bulk_work_fills_half_of_the_queue_at_most(fake: Any) -> None:
    encoder, engine = fake(), engine_of(max_queue_items=8)
    loaded = Loaded(encoder)
    encoder.hold()
    running = asyncio.create_task(encode(engine, loaded, "hello", "cat"))
    await settled(encoder.entered.is_set)

    with pytest.raises(Overloaded, match="limit is 4"):
        await encode_texts(engine, loaded, ["dog", "mat", "red"], priority="bulk")
    waiting = asyncio.create_task(encode_texts(engine, loaded, ["dog", "mat", "red"]))
    await settled(lambda: engine.queued(loaded)[0] == 3)

    encoder.gate.set()
    await asyncio.gather(running, waiting)
    engine.close()


async def test_limits_hold_for_engines_of_several_processes_together(fake: Any, tmp_path: Path) -> None:
    """Until the one that had the work is gone."""
    board = Scoreboard(tmp_path, 2)
    limits = {"max_queue_items": 3, "max_queue_cost": 7}
    one, other = (engine_of(shared_load=WorkerSlot(board, slot), **limits) for slot in range(2))
    encoder = fake()
    loaded = Loaded(encoder)
    encoder.hold()
    running = asyncio.create_task(encode(one, loaded, "hello"))
    await settled(encoder.entered.is_set)
    waiting = asyncio.create_task(encode(one, loaded, "the cat sat on the mat"))
    await settled(lambda: one.queued(loaded)[0] == 1)

    assert other.items_in_all == 2
    with pytest.raises(Overloaded, match="2 inputs are in work, the limit is 3"):
        await encode(other, loaded, "cat", "dog")
    with pytest.raises(Overloaded, match="work of a cost of 6 waits, the limit is 7"):
        await encode(other, loaded, "cat dog")
    board.clear(0)
    assert other.items_in_all == 0
    encoder.gate.set()
    await asyncio.gather(running, waiting, encode(other, loaded, "cat", "dog"))
    assert (board.total(Field.ITEMS), board.total(Field.COST)) == (0, 0)
    one.close()
    other.close()
