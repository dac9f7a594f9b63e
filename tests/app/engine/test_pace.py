"""The pace of an encoder follows what its batches take; the clock is what each test says."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from app.engine.pace import (
    CAUTIOUS_RATE,
    RECENT,
    SIZE_TRIED_EVERY,
    THREADS_GAIN_S,
    THREADS_TRIED_EVERY,
    THREADS_TRIED_SELDOM,
    Pace,
    Priority,
)
from app.engine.tuning import COSTS, DEFAULT, BatchProfile

COST = 20  # of a lone batch


def ran(pace: Pace, cost: int, seconds: float, priority: Priority = "interactive") -> None:
    pace.measured(priority, cost=cost, size=cost, elapsed_s=seconds, cpu_s=seconds)


def deep(pace: Pace, seconds: Callable[[int], float], batches: int = 1) -> list[int]:
    """The sizes that a deep queue's batches have, each of which takes what it takes."""
    sizes = []
    for _ in range(batches):
        sizes.append(pace.budget(is_deep=True))
        ran(pace, sizes[-1], seconds(sizes[-1]))
    return sizes


def lone(pace: Pace, one_s: float, all_s: float, batches: int) -> list[bool]:
    """Which of so many lone batches were run by all threads."""
    found = []
    for _ in range(batches):
        found.append(pace.takes_all_threads(COST))
        pace.measured_lone(COST, all_s if found[-1] else one_s, is_multithreaded=found[-1])
    return found


def test_before_anything_is_known_it_is_cautious() -> None:
    pace = Pace()

    assert pace.rate("interactive") == pace.rate("bulk") == CAUTIOUS_RATE
    assert pace.seconds(1) == math.inf
    assert not pace.is_measured
    assert (pace.budget(is_deep=False), pace.budget(is_deep=True)) == (DEFAULT, DEFAULT)


def test_it_begins_with_what_was_measured_before() -> None:
    pace = Pace(BatchProfile({64: 100.0, 256: 500.0}, batch_cost=64, deep_cost=256))

    assert pace.rate("interactive") == 100.0
    assert pace.seconds(50) == pytest.approx(0.5)
    assert (pace.budget(is_deep=False), pace.budget(is_deep=True)) == (256, 256)


def test_the_rate_follows_the_last_batches() -> None:
    pace = Pace(BatchProfile({64: 100.0}))
    for _ in range(20):
        ran(pace, 512, 0.1)
    assert pace.rate("interactive") == pytest.approx(5120)
    for _ in range(20):  # somebody else takes the core
        ran(pace, 512, 0.4)
    assert pace.rate("interactive") == pytest.approx(1280, rel=0.05)


def test_large_batches_count_for_more_than_small_ones() -> None:
    """A burst that comes after lone inputs is not judged by what these took."""
    pace = Pace()
    for _ in range(100):
        ran(pace, 10, 0.003)
    ran(pace, 512, 0.1)

    assert pace.rate("interactive") > 0.85 * 5120


def test_each_priority_has_its_rate() -> None:
    pace = Pace()
    ran(pace, 100, 0.1, "bulk")
    assert pace.rate("interactive") == pytest.approx(1000)  # better than none
    ran(pace, 100, 0.05, "interactive")
    assert (pace.rate("interactive"), pace.rate("bulk")) == (pytest.approx(2000), pytest.approx(1000))


def test_what_a_small_batch_takes_is_known_by_its_size() -> None:
    """A pass has a fixed part, so the rate of larger ones says little."""
    pace = Pace(BatchProfile({64: 1e6}))
    ran(pace, 60, 0.002)
    ran(pace, 2, 0.001)

    assert pace.seconds(2) == pytest.approx(0.001)
    assert pace.seconds(60) == pytest.approx(0.002)


def test_the_size_of_batches_follows_what_they_take() -> None:
    """1 ms a call and 0.1 ms a token: 256 is 96 % of the best, 1024 is 99 %, wherever it began."""
    pace = Pace(BatchProfile({64: 1.0, 2048: 2.0}, batch_cost=2048, deep_cost=2048))
    sizes = deep(pace, lambda cost: 1e-3 + 1e-4 * cost, batches=40 * SIZE_TRIED_EVERY)

    assert set(sizes) <= set(COSTS)
    assert pace.profile.batch_cost == 256
    assert pace.profile.deep_cost == 1024


def test_a_size_that_is_never_run_is_tried_now_and_then() -> None:
    sizes = deep(Pace(), lambda cost: 1e-3 + 1e-4 * cost, batches=2 * SIZE_TRIED_EVERY)

    assert sizes[:SIZE_TRIED_EVERY] == [DEFAULT] * (SIZE_TRIED_EVERY - 1) + [2 * DEFAULT]
    assert sizes[SIZE_TRIED_EVERY] == 2 * DEFAULT  # it was better


def test_a_batch_that_would_block_a_worker_is_not_tried() -> None:
    sizes = deep(Pace(), lambda cost: cost / 1500.0, batches=20 * SIZE_TRIED_EVERY)

    assert max(sizes) <= DEFAULT


def test_a_batch_where_latency_counts_is_never_an_experiment() -> None:
    pace = Pace()

    assert {pace.budget(is_deep=False) for _ in range(10 * SIZE_TRIED_EVERY)} == {DEFAULT}


@pytest.mark.parametrize("began", [True, False])
@pytest.mark.parametrize(("one_s", "all_s", "expected"), [(0.012, 0.008, True), (0.012, 0.020, False)])
def test_lone_batches_are_run_the_faster_way_wherever_it_began(
    began: bool, one_s: float, all_s: float, expected: bool
) -> None:
    pace = Pace(BatchProfile(is_faster_multithreaded=began))
    lone(pace, one_s, all_s, batches=4 * THREADS_TRIED_EVERY)

    later = lone(pace, one_s, all_s, batches=10 * THREADS_TRIED_SELDOM)
    assert later.count(not expected) == 10


def test_lone_batches_follow_a_core_that_is_taken_and_given_back() -> None:
    pace = Pace(BatchProfile(is_faster_multithreaded=True))
    lone(pace, 0.012, 0.008, batches=100)
    lone(pace, 0.013, 0.019, batches=RECENT)  # at once, as the way that was taken has become slow
    taken = lone(pace, 0.013, 0.019, batches=200)
    assert taken.count(True) < 15

    lone(pace, 0.012, 0.008, batches=(RECENT + 1) * THREADS_TRIED_SELDOM)
    assert lone(pace, 0.012, 0.008, batches=100).count(True) > 90


def test_short_batches_are_not_split_over_threads() -> None:
    pace = Pace(BatchProfile({64: COST / (0.9 * THREADS_GAIN_S)}, is_faster_multithreaded=True))

    assert not any(pace.takes_all_threads(COST) for _ in range(100))
