"""A version in the shadow of another: what is compared, what is dropped, and that nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import tiny
from engines import engine_of, settled

from app.engine import Encoded, Engine, Loaded, ResultCache, Timings
from app.shadow import FEW, FEWEST, KEPT, WAITING, WAITING_SIZE, Comparison, Shadows
from bundle import Store, Text, publish


def texts(count: int, seed: int = 0) -> list[Any]:
    """Different texts of a few known words."""
    random, found = np.random.default_rng(seed), dict[str, None]()
    while len(found) < count:
        found[" ".join(random.choice(tiny.WORDS[1:], random.integers(2, 9)))] = None
    return [Text(one) for one in found]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Loaded, Loaded, Loaded]:
    """An encoder, the same published once more, and one of another seed."""
    models = tmp_path_factory.mktemp("models")
    for seed in (0, 0, 1):
        publish(models, [tiny.text_draft(seed=seed)])
    one, same, other = (Loaded(Store(models).load("text", version)) for version in "123")
    return one, same, other


class Told:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.overlaps: list[float] = []

    def shadowed(self, loaded: Loaded, candidate: Loaded, outcome: str, inputs: int) -> None:
        self.outcomes[outcome] += inputs

    def overlap(self, loaded: Loaded, candidate: Loaded, value: float) -> None:
        self.overlaps.append(value)


@asynccontextmanager
async def shadowing(loaded: Loaded, candidate: Loaded, engine: Engine) -> AsyncIterator[Shadows]:
    shadows = Shadows(engine, {loaded: candidate}.get, Told())
    task = asyncio.create_task(shadows.run())
    try:
        yield shadows
    finally:
        task.cancel()
        engine.close()


def compared(shadows: Shadows, loaded: Loaded, count: int) -> Callable[[], bool]:
    return lambda: shadows.comparisons[loaded].compared >= count


async def test_the_same_encoder_agrees_with_itself(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, _ = versions
    async with shadowing(one, same, engine_of()) as shadows:
        shadows.offer(one, texts(FEWEST), "none")
        await settled(compared(shadows, one, FEWEST))
        report = shadows.comparisons[one].report()

    assert report["among"] == report["compared"] == FEWEST
    assert report["overlap_at_10"] == 1.0
    assert report["dropped"] == report["failed"] == report["waiting"] == 0
    assert report["same_space"] == (one.manifest.space == same.manifest.space)
    assert report["run_ms"]["shadow"]["p50"] > 0


async def test_another_space_is_compared_by_neighbours_alone(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, _, other = versions
    async with shadowing(one, other, engine_of()) as shadows:
        shadows.offer(one, texts(FEWEST), "none")
        await settled(compared(shadows, one, FEWEST))
        report = shadows.comparisons[one].report()

    assert not report["same_space"]
    assert report["cosine"] is None
    assert 0.0 < report["overlap_at_10"] < 1.0


async def test_few_inputs_are_no_figure(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, _ = versions
    async with shadowing(one, same, engine_of()) as shadows:
        shadows.offer(one, texts(FEWEST - 1), "none")
        await settled(compared(shadows, one, FEWEST - 1))

        assert shadows.comparisons[one].report()["overlap_at_10"] is None


async def test_equal_inputs_count_once(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    """Or the copies would be each other's neighbours by any encoder."""
    one, same, _ = versions
    async with shadowing(one, same, engine_of()) as shadows:
        shadows.offer(one, texts(3) * 20, "none")
        await settled(lambda: not shadows.comparisons[one].waiting)
        await settled(compared(shadows, one, 3))

        assert shadows.comparisons[one].report()["among"] == 3


async def test_nothing_is_encoded_while_the_engine_has_work(
    fake: Any, versions: tuple[Loaded, Loaded, Loaded]
) -> None:
    """What does not fit meanwhile is dropped, and counted."""
    one, same, _ = versions
    encoder, engine = fake(), engine_of(workers=2)
    async with shadowing(one, same, engine) as shadows:
        encoder.hold()
        busy = asyncio.create_task(
            engine.encode(Loaded(encoder), [Text("cat")], truncate="none", timeout_s=60.0)
        )
        await settled(encoder.entered.is_set)
        shadows.offer(one, texts(WAITING + 5), "none")
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert shadows.comparisons[one].compared == 0
        assert shadows.comparisons[one].dropped == 5
        encoder.gate.set()
        await busy

        await settled(compared(shadows, one, FEW))


async def test_cache_of_results_is_neither_read_nor_filled(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, _ = versions
    cache = ResultCache(1_000_000)
    async with shadowing(one, same, engine_of(cache=cache)) as shadows:
        shadows.offer(one, texts(5), "none")
        await settled(compared(shadows, one, 5))

    assert cache.size == 0


async def test_input_that_the_candidate_refuses_is_counted(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    """As where its limit is shorter; the next ones go on."""
    one, same, _ = versions
    async with shadowing(one, same, engine_of()) as shadows:
        shadows.offer(one, [Text("cat " * 10 * tiny.MAX_LENGTH)], "none")
        shadows.offer(one, texts(3), "end")
        await settled(compared(shadows, one, 3))

        assert shadows.comparisons[one].failed == 1


async def test_candidate_that_left_the_shadow_is_forgotten(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, other = versions
    table = {one: same}
    engine = engine_of()
    shadows = Shadows(engine, table.get, Told())
    task = asyncio.create_task(shadows.run())
    shadows.offer(one, texts(5), "none")
    await settled(compared(shadows, one, 5))
    table[one] = other
    await settled(lambda: not shadows.comparisons)
    shadows.offer(one, texts(5), "none")

    assert shadows.comparisons[one].candidate is other
    assert shadows.comparisons[one].compared == 0
    task.cancel()
    engine.close()


async def test_observer_is_told_what_became_of_inputs(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, _ = versions
    engine, told = engine_of(), Told()
    shadows = Shadows(engine, {one: same}.get, told)
    shadows.offer(one, [Text("cat " * 10 * tiny.MAX_LENGTH)], "none")
    shadows.offer(one, texts(WAITING), "end")
    task = asyncio.create_task(shadows.run())
    await settled(lambda: bool(told.overlaps))
    task.cancel()
    engine.close()

    assert told.outcomes["failed"] == told.outcomes["dropped"] == 1
    assert told.outcomes["compared"] >= FEWEST
    assert told.overlaps == [1.0]


def test_long_inputs_wait_within_a_size(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    """And what was compared is kept as a digest, however long it was."""
    one, same, _ = versions
    comparison, long = Comparison(one, same), "cat " * (WAITING_SIZE // 8)
    asked = [Text(f"{long}{number}") for number in range(4)]

    assert comparison.offer(asked, "end") == 3
    assert len(comparison.key(asked[0])) == 16
    comparison.take()
    assert comparison.size == 0
    assert comparison.offer(asked[1:2], "end") == 0


async def test_what_goes_wrong_in_a_shadow_ends_no_other(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, other = versions

    class Failing(Told):
        def shadowed(self, loaded: Loaded, candidate: Loaded, outcome: str, inputs: int) -> None:
            if loaded is other:
                raise KeyError
            super().shadowed(loaded, candidate, outcome, inputs)

    engine, told = engine_of(), Failing()
    shadows = Shadows(engine, {one: same, other: one}.get, told)
    shadows.offer(other, texts(3), "none")
    shadows.offer(one, texts(8), "none")
    task = asyncio.create_task(shadows.run())
    await settled(lambda: told.outcomes["compared"] == 8)
    task.cancel()
    engine.close()


async def test_no_shadow_no_work(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, _, _ = versions
    shadows = Shadows(engine_of(), {}.get, Told())

    shadows.offer(one, texts(5), "none")

    assert not shadows.comparisons


def test_the_newest_inputs_are_kept(versions: tuple[Loaded, Loaded, Loaded]) -> None:
    one, same, _ = versions
    comparison = Comparison(one, same)
    asked = texts(KEPT + 10)
    for start in range(0, len(asked), 100):
        rows = asked[start : start + 100]
        encoded = Encoded(np.ones((len(rows), 2), np.float32), [], Timings(0.0, 0.0, 0.1))
        comparison.put(rows, encoded, encoded)

    assert len(comparison.rows) == KEPT
    assert comparison.key(asked[-1]) in comparison.rows
    assert comparison.key(asked[0]) not in comparison.rows
