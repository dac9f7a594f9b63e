"""Much to prepare is prepared in slices, so that nobody waits for what nobody wants any more."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from engines import encode, engine_of, settled
from hypothesis import given
from hypothesis import strategies as st

from app.engine import DeadlineExceeded, Distinct, Loaded, Overloaded
from app.engine.preparation import SLICE
from bundle import Text

LONG = "the " * (SLICE // 4)


@given(st.lists(st.integers(1, 2 * SLICE), min_size=1, max_size=12))
def test_slices_are_all_inputs_in_order_and_bounded(sizes: list[int]) -> None:
    distinct = Distinct.of([Text(f"{index:4}".ljust(size, "a")) for index, size in enumerate(sizes)])
    slices = list(distinct.slices())

    assert [one for part in slices for one in part.inputs] == list(distinct.inputs)
    assert [one for part in slices for one in part.indices] == list(distinct.indices)
    assert all(len(part.inputs) == 1 or sum(one.size for one in part.inputs) <= SLICE for part in slices)


class Gate:
    """Preparing that counts its calls, and holds them until it is opened."""

    def __init__(self, encoder: Any) -> None:
        self.calls, self.opened, self._prepare = 0, threading.Event(), encoder.prepare
        encoder.prepare = self

    def __call__(self, inputs: Any, truncate: Any) -> Any:
        self.calls += 1
        self.opened.wait(60)
        return self._prepare([Text("cat") for _ in inputs], truncate)


async def test_who_leaves_while_it_is_prepared_costs_one_slice(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    gate, loaded = Gate(encoder), Loaded(encoder)
    task = asyncio.create_task(encode(engine, loaded, *(f"{LONG}{index}" for index in range(8))))
    await settled(lambda: gate.calls == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.opened.set()
    await encode(engine, loaded, "cat " * 300)  # comes after on the one thread

    assert (gate.calls, engine.items) == (2, 0)
    engine.close()


async def test_what_is_late_while_it_is_prepared_ends_there(fake: Any) -> None:
    encoder, engine = fake(), engine_of()
    gate, loaded = Gate(encoder), Loaded(encoder)
    with pytest.raises(DeadlineExceeded):
        await encode(engine, loaded, *(f"{LONG}{index}" for index in range(8)), timeout_s=0.05)
    gate.opened.set()
    await encode(engine, loaded, "cat " * 300)  # comes after on the one thread

    assert (gate.calls, len(encoder.batches)) == (2, 1)
    engine.close()


async def test_what_has_no_room_in_the_queue_is_not_prepared_to_its_end(fake: Any) -> None:
    encoder = fake()
    engine = engine_of(max_queue_cost=6)
    loaded = Loaded(encoder)
    encoder.hold()
    first = asyncio.create_task(encode(engine, loaded, "cat"))
    await settled(encoder.entered.is_set)
    waiting = asyncio.create_task(encode(engine, loaded, "dog"))
    await settled(lambda: engine.queued(loaded)[0] == 1)
    gate = Gate(encoder)
    gate.opened.set()
    with pytest.raises(Overloaded):
        await encode(engine, loaded, *(f"{LONG}{index}" for index in range(8)))

    assert gate.calls < 8
    encoder.gate.set()
    await asyncio.gather(first, waiting)
    engine.close()
