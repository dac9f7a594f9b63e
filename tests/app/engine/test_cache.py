"""Results that are kept: nothing is computed twice, nothing is mixed up, and memory is bounded."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from app.engine import Engine, Loaded, Registry, ResultCache
from app.engine.cache import ROW_BYTES, CachedRow
from bundle import Encoder, Facts, Features, InputError, Text

PATIENCE_S = 60.0  # a busy machine is slow, not wrong


@dataclass
class Counting:
    """An observer that counts what was computed."""

    rows: int = 0

    def batch(self, loaded: Loaded, *, rows: int, run_s: float) -> None:
        self.rows += rows


def row(number: int, dim: int = 4) -> CachedRow:
    return CachedRow(np.full(dim, number, np.float32), Facts(tokens=number))


def engine_of(observer: Counting, cache: ResultCache | None) -> Engine:
    return Engine(
        workers=1,
        batch_cost=1000,
        max_queue_items=1000,
        max_queue_cost=10_000,
        max_wait_s=60.0,
        longest_pass_s=60.0,
        observer=observer,
        cache=cache,
    )


async def encode(engine: Engine, loaded: Loaded, *texts: str, **how: Any) -> Any:
    given: dict[str, Any] = {"truncate": "none", "timeout_s": PATIENCE_S} | how
    return await engine.encode(loaded, [Text(text) for text in texts], **given)


@pytest.fixture
def loaded(registry: Registry) -> Loaded:
    return registry.find("text")


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True), max_size=12))
def test_memory_is_bounded_and_rows_are_those_that_were_put(requests: list[list[str]]) -> None:
    async def run() -> None:
        size = row(0).size
        cache = ResultCache(3 * size)
        for names in requests:
            keys = [cache.key(name) for name in names]
            with cache.look_up(keys) as lookup:
                lookup.put(lookup.missing, [row(ord(names[place])) for place in lookup.missing])
            assert not await lookup.wait_for_others()
            assert [one and one.facts.tokens for one in lookup.rows] == [ord(name) for name in names]
            assert cache.size == len(cache) * size <= 3 * size

    asyncio.run(run())


def test_the_row_used_longest_ago_goes_first() -> None:
    async def run() -> list[int]:
        cache = ResultCache(2 * row(0).size)

        def ask(name: str) -> list[int]:
            with cache.look_up([cache.key(name)]) as lookup:
                lookup.put(lookup.missing, [row(0) for _ in lookup.missing])
            return lookup.missing

        for name in ("a", "b", "a", "c"):
            ask(name)
        return [len(ask(name)) for name in ("a", "b")]

    assert asyncio.run(run()) == [0, 1]


def test_a_row_larger_than_all_memory_is_not_kept() -> None:
    async def run() -> int:
        cache = ResultCache(ROW_BYTES)
        with cache.look_up([b"k"]) as lookup:
            lookup.put(lookup.missing, [row(1)])
        return len(cache)

    assert asyncio.run(run()) == 0


def test_an_input_that_came_before_is_not_computed_again(loaded: Loaded) -> None:
    async def run() -> None:
        counting = Counting()
        engine = engine_of(counting, ResultCache(10**6))
        first = await encode(engine, loaded, "red", "blue")
        again = await encode(engine, loaded, "blue", "green", "red", "blue")

        assert (first.cached, again.cached, counting.rows) == (0, 2, 3)
        np.testing.assert_array_equal(again.vectors[[2, 0, 3]], first.vectors[[0, 1, 1]])
        assert [fact.tokens for fact in again.facts] == [1, 1, 1, 1]

    asyncio.run(run())


def test_equal_inputs_in_flight_are_computed_once(loaded: Loaded) -> None:
    async def run() -> None:
        counting = Counting()
        engine = engine_of(counting, ResultCache(10**6))
        answers = await asyncio.gather(*(encode(engine, loaded, "red", "blue") for _ in range(8)))

        assert counting.rows == 2
        assert sorted(answer.cached for answer in answers) == [0] + 7 * [2]
        for answer in answers:
            np.testing.assert_array_equal(answer.vectors, answers[0].vectors)

    asyncio.run(run())


def test_who_waits_for_one_that_left_computes_for_himself(loaded: Loaded) -> None:
    async def run() -> None:
        engine = engine_of(Counting(), ResultCache(10**6))
        leaving = asyncio.create_task(encode(engine, loaded, "red"))
        waiting = asyncio.create_task(encode(engine, loaded, "red"))
        await asyncio.sleep(0)
        leaving.cancel()

        assert (await waiting).cached == 0
        assert leaving.cancelled() or leaving.done()

    asyncio.run(run())


def test_who_leaves_takes_nothing_from_the_one_he_waited_for(loaded: Loaded) -> None:
    async def run() -> None:
        engine = engine_of(Counting(), ResultCache(10**6))
        computing = asyncio.create_task(encode(engine, loaded, "red"))
        leaving = asyncio.create_task(encode(engine, loaded, "red"))
        third = asyncio.create_task(encode(engine, loaded, "red"))
        await asyncio.sleep(0)
        leaving.cancel()

        assert np.isfinite((await computing).vectors).all()
        assert (await third).cached == 1

    asyncio.run(run())


def test_a_caller_that_waits_does_not_wait_for_bulk_work(loaded: Loaded) -> None:
    async def run() -> None:
        counting = Counting()
        engine = engine_of(counting, ResultCache(10**6))
        bulk = asyncio.create_task(encode(engine, loaded, "red", priority="bulk"))
        await asyncio.sleep(0)
        answers = await asyncio.gather(encode(engine, loaded, "red"), bulk)

        assert [answer.cached for answer in answers] == [0, 0]
        assert counting.rows == 2

    asyncio.run(run())


def test_errors_are_not_kept_and_harm_no_neighbour(loaded: Loaded) -> None:
    async def run() -> None:
        engine = engine_of(Counting(), ResultCache(10**6))
        await encode(engine, loaded, "red")
        for _ in range(2):
            with pytest.raises(InputError) as caught:
                await encode(engine, loaded, "red", "")
            assert caught.value.index == 1  # as it stands in the request, not among what was computed
        assert (await encode(engine, loaded, "red")).cached == 1

    asyncio.run(run())


def test_truncation_is_a_part_of_what_is_kept(loaded: Loaded) -> None:
    """A text that was cut for one caller is refused to another who did not ask for that."""

    async def run() -> None:
        engine = engine_of(Counting(), ResultCache(10**6))
        long = " ".join(["red"] * (tiny.MAX_LENGTH + 1))
        assert (await encode(engine, loaded, long, truncate="end")).facts[0].truncated
        with pytest.raises(InputError):
            await encode(engine, loaded, long)

    asyncio.run(run())


def test_features_are_kept_beyond_the_moment_only_where_it_does_not_matter(registry: Registry) -> None:
    item, user = registry.find("shop-item").encoder, registry.find("shop-user").encoder

    def keys(encoder: Encoder) -> set[Hashable]:
        return {encoder.key(Features({}, now)) for now in (1.0, 2.0)}

    assert (len(keys(item)), len(keys(user))) == (1, 2)


def test_the_other_tower_of_a_space_has_results_of_its_own(registry: Registry) -> None:
    """Where no input depends on the moment, both towers take the same `{}`."""

    async def run() -> None:
        user, item = registry.find("shop-user"), registry.find("shop-item")
        assert user.manifest.space == item.manifest.space
        engine, nothing = engine_of(Counting(), ResultCache(10**6)), [Features({}, None)]
        for loaded in (user, item, user):
            done = await engine.encode(loaded, nothing, truncate="none", timeout_s=PATIENCE_S)
            alone = loaded.encoder.run(loaded.encoder.prepare(nothing))
            np.testing.assert_allclose(done.vectors, alone, atol=1e-6)

    asyncio.run(run())


def test_what_was_kept_for_one_owner_is_not_told_to_another(loaded: Loaded) -> None:
    async def run() -> None:
        counting = Counting()
        engine = engine_of(counting, ResultCache(10**6))
        asked = [encode(engine, loaded, "red", owner=owner) for owner in ("a", "b", "a")]
        together = await asyncio.gather(*asked)  # and nobody waits for what another's request computes
        after = [await encode(engine, loaded, "red", owner=owner) for owner in ("a", "b", "c")]

        assert [one.cached for one in together] == [0, 0, 1]
        assert [one.cached for one in after] == [1, 1, 0]
        assert counting.rows == 3

    asyncio.run(run())


async def test_a_key_does_not_see_what_another_asked_for(
    registry: Registry, serving: Any, tmp_path: Path
) -> None:
    def digest(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    keys = tmp_path / "keys.toml"
    keys.write_text("\n".join(f'[{name}]\nsha256 = "{digest(name)}"' for name in ("shop", "search")))
    async with serving(registry, result_cache_bytes=10**6, keys_file=keys) as client:

        async def cached(name: str) -> str:
            asked = {"inputs": "a red lamp"}
            answer = await client.post("/encode", json=asked, headers={"Authorization": f"Bearer {name}"})
            return answer.headers["X-Embedding-Cached"]

        assert [await cached(name) for name in ("shop", "search", "shop")] == ["0", "0", "1"]


async def test_the_answer_and_the_metrics_say_what_was_kept(registry: Registry, serving: Any) -> None:
    async with serving(registry, result_cache_bytes=10**6) as client:
        answers = [await client.post("/encode", json={"inputs": ["red", "blue", "red"]}) for _ in range(2)]
        metrics = (await client.get("/metrics")).text

    assert [answer.headers["X-Embedding-Cached"] for answer in answers] == ["0", "2"]
    assert answers[0].json() == answers[1].json()
    assert 'encodery_cached_items_total{model="text",version="1"} 2.0' in metrics
    assert f"encodery_result_cache_bytes {2 * (4 * tiny.DIM + ROW_BYTES):.1f}" in metrics


async def test_without_a_cache_the_answer_says_nothing_of_it(client: httpx.AsyncClient) -> None:
    answer = await client.post("/encode", json={"inputs": "red"})
    assert "X-Embedding-Cached" not in answer.headers
