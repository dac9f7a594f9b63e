"""Work beside the engine: at once where it is small, else on its own threads, bounded and in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from app.engine import DeadlineExceeded, Overloaded
from app.side_work import FIRST_RATE, SMALL, SideWork

LONG_S = 60.0
WAIT_S = 0.1
MUCH = int(2 * WAIT_S * FIRST_RATE)  # takes longer than anybody waits for


@pytest.fixture
async def side_work() -> AsyncIterator[SideWork]:
    work = SideWork(1, max_wait_s=WAIT_S)
    yield work
    work.close()


class Held:
    """Pieces of which each waits until it is let go; counts those that were begun."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate, self.entered = threading.Event(), threading.Event()

    def pieces(self, count: int = 5) -> Iterator[int]:
        for number in range(count):
            self.begun += 1
            self.entered.set()
            self.gate.wait(LONG_S)
            yield number


def threads_of(count: int) -> Iterator[int]:
    return (threading.get_ident() for _ in range(count))


async def test_small_work_is_done_where_it_is_and_other_work_on_a_thread(side_work: SideWork) -> None:
    here = threading.get_ident()

    assert await side_work.collect(threads_of(2), SMALL, LONG_S) == [here] * 2
    assert here not in await side_work.collect(threads_of(2), SMALL + 1, LONG_S)


async def test_who_would_wait_too_long_is_refused_at_once(side_work: SideWork) -> None:
    held = Held()
    first = asyncio.create_task(side_work.collect(held.pieces(), MUCH, LONG_S))
    await asyncio.to_thread(held.entered.wait, LONG_S)

    with pytest.raises(Overloaded) as caught:
        await side_work.collect(iter("abc"), 2 * SMALL, LONG_S)
    assert caught.value.retry_after_s
    assert await side_work.collect(iter("abc"), SMALL, LONG_S) == ["a", "b", "c"]  # it waits for nobody

    held.gate.set()
    assert await first == [0, 1, 2, 3, 4]
    assert await side_work.collect(iter("abc"), 2 * SMALL, LONG_S) == ["a", "b", "c"]


async def test_who_would_be_late_is_refused_at_once(side_work: SideWork) -> None:
    """Though the wait alone were short enough."""
    held = Held()
    first = asyncio.create_task(side_work.collect(held.pieces(), MUCH // 4, LONG_S))
    await asyncio.to_thread(held.entered.wait, LONG_S)

    with pytest.raises(Overloaded):
        await side_work.collect(iter("abc"), MUCH, 2 * WAIT_S)
    held.gate.set()
    await first


async def test_into_none_work_of_any_size_is_let(side_work: SideWork) -> None:
    assert await side_work.collect(iter("abc"), 100 * MUCH, LONG_S) == ["a", "b", "c"]


async def test_the_rate_is_that_of_what_was_done(side_work: SideWork) -> None:
    """Quick work makes room for more of it."""
    for _ in range(20):
        await side_work.collect(iter("abc"), 10 * MUCH, LONG_S)
    held = Held()
    first = asyncio.create_task(side_work.collect(held.pieces(), MUCH, LONG_S))
    await asyncio.to_thread(held.entered.wait, LONG_S)
    second = asyncio.create_task(side_work.collect(held.pieces(), MUCH, LONG_S))
    held.gate.set()

    assert await first == await second == [0, 1, 2, 3, 4]


async def test_nothing_is_done_any_more_when_the_time_is_over(side_work: SideWork) -> None:
    """Of who waits for a thread nothing; of who has one, the piece that was begun."""
    held, waiting = Held(), Held()
    one = asyncio.create_task(side_work.collect(held.pieces(), SMALL + 1, 0.05))
    other = asyncio.create_task(side_work.collect(waiting.pieces(), SMALL + 1, 0.05))
    for task in (one, other):
        with pytest.raises(DeadlineExceeded):
            await task
    held.gate.set()
    await side_work.collect(iter("abc"), 2 * SMALL, LONG_S)  # the thread is free again

    assert (held.begun, waiting.begun) == (1, 0)


async def test_a_caller_who_leaves_is_worked_for_no_more(side_work: SideWork) -> None:
    held = Held()
    task = asyncio.create_task(side_work.collect(held.pieces(), 2 * SMALL, LONG_S))
    await asyncio.to_thread(held.entered.wait, LONG_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.gate.set()
    await side_work.collect(iter("abc"), 2 * SMALL, LONG_S)

    assert held.begun == 1


async def test_an_error_of_a_piece_is_raised_and_leaves_room(side_work: SideWork) -> None:
    def pieces() -> Iterator[int]:
        yield 1
        raise ValueError("a piece")

    for _ in range(3):
        with pytest.raises(ValueError, match="a piece"):
            await side_work.collect(pieces(), 3 * SMALL, LONG_S)
