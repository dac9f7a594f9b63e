"""When work would be done, in seconds that can be added up by hand."""

from __future__ import annotations

import math
import random

import hypothesis.strategies as st
import pytest
from hypothesis import given

from app.engine.forecast import KEPT, MOST, SHORTEST_S, Trust, Waiting, wait_s
from app.engine.pace import Priority

SECONDS = st.floats(0, 1e6)
PRIORITIES: st.SearchStrategy[Priority] = st.sampled_from(["interactive", "bulk"])


def test_work_waits_for_all_that_is_ahead_of_it() -> None:
    assert wait_s("interactive", 1.0, 5.0, []) == 5.0


def test_of_another_encoder_only_as_much_goes_first_as_ones_own() -> None:
    """They take turns: 100 s of another's work are no reason to wait for more than half a second."""
    assert wait_s("interactive", 0.5, 0.0, [Waiting("interactive", 100.0)]) == 0.5
    assert wait_s("interactive", 0.5, 2.0, [Waiting("interactive", 100.0)]) == 4.5


@pytest.mark.parametrize(
    ("priority", "other", "expected"), [("interactive", "bulk", 1), ("bulk", "interactive", 9)]
)
def test_bulk_work_has_one_batch_in_four(priority: Priority, other: Priority, expected: float) -> None:
    assert wait_s(priority, 3.0, 0.0, [Waiting(other, 100.0)]) == expected


@given(PRIORITIES, SECONDS, SECONDS, st.lists(st.tuples(PRIORITIES, SECONDS)))
def test_nobody_waits_longer_than_for_all_that_there_is(
    priority: Priority, own_s: float, ahead_s: float, others: list[tuple[Priority, float]]
) -> None:
    waiting = [Waiting(*one) for one in others]

    found = wait_s(priority, own_s, ahead_s, waiting)

    assert ahead_s <= found <= (ahead_s + sum(one.seconds for one in waiting)) * (1 + 1e-9)


def test_the_factor_is_what_nearly_all_forecasts_keep_to() -> None:
    """Whatever the errors look like: here, up to three times the forecast."""
    trust, chance = Trust(), random.Random(0)
    for _ in range(20_000):
        trust.learn(1.0, chance.uniform(0.5, 3.0))

    quantile = 0.5 + KEPT * 2.5
    assert trust.factor == pytest.approx(quantile, rel=0.15)


def test_trust_is_lost_at_once_and_comes_back() -> None:
    trust = Trust()
    for _ in range(10):
        trust.learn(1.0, math.inf)
    worst = trust.factor
    for _ in range(2_000):
        trust.learn(1.0, 0.9)

    assert worst > 1.5
    assert trust.factor == 1.0


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1e6) | st.just(math.inf))))
def test_trust_has_bounds(forecasts: list[tuple[float, float]]) -> None:
    trust = Trust()
    for forecast_s, took_s in forecasts:
        trust.learn(forecast_s, took_s)

    assert 1.0 <= trust.factor <= MOST


def test_short_forecasts_teach_nothing() -> None:
    trust = Trust()
    trust.learn(0.9 * SHORTEST_S, math.inf)

    assert trust.factor == 1.0
