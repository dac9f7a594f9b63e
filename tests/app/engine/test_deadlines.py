"""Requests whose time is over fail, the others do not, and a clock runs only while somebody waits."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.engine.deadlines import TICK_S, Deadlines
from app.engine.pending import PendingRequest


def _pending() -> PendingRequest:
    return PendingRequest(asyncio.get_running_loop().create_future(), (0,), 1, 0.0)


async def _over(pending: PendingRequest) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pending.done, 30)


async def test_each_fails_when_its_own_time_is_over() -> None:
    deadlines, began_s = Deadlines(time.monotonic), time.monotonic()
    late, soon, over = _pending(), _pending(), _pending()
    deadlines.add(late, began_s + 60)
    deadlines.add(soon, began_s + 5 * TICK_S)
    deadlines.add(over, began_s - 1)

    await _over(over)
    await _over(soon)

    assert time.monotonic() >= began_s + 5 * TICK_S
    assert not late.done.done()


async def test_who_is_done_is_forgotten_and_then_nothing_ticks() -> None:
    deadlines, now_s = Deadlines(time.monotonic), time.monotonic()
    first, second = _pending(), _pending()
    ticks = [deadlines.add(one, now_s + 60) for one in (first, second)]
    for one, tick in zip((first, second), ticks, strict=True):
        deadlines.remove(one, tick)
        deadlines.remove(one, tick)  # as when it failed first

    async with asyncio.timeout(30):
        while deadlines.is_ticking:
            await asyncio.sleep(TICK_S)
    assert [one.done.done() for one in (first, second)] == [False, False]

    third = _pending()
    deadlines.add(third, time.monotonic())
    await _over(third)


async def test_a_clock_that_jumps_misses_nobody() -> None:
    clock = [100.0]
    deadlines, passed = Deadlines(lambda: clock[0]), [_pending() for _ in range(3)]
    for one, seconds in zip(passed, (1, 50, 900), strict=True):
        deadlines.add(one, clock[0] + seconds)
    clock[0] += 1000.0

    for one in passed:
        await _over(one)
