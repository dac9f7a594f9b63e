"""Buckets let through what their rate allows, in any pattern of requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.access import Bucket, KeyRates, RateLimited, RateLimits


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@given(st.floats(0.1, 50), st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), max_size=60))
def test_no_more_is_spent_than_the_rate_allows(rate: float, steps: list[tuple[float, int]]) -> None:
    """And no less: whoever waits as long as he is told gets through."""
    clock = Clock()
    bucket, spent, most = Bucket(rate, clock), 0.0, max(1.0, rate)
    for pause_s, amount in steps:
        clock.now_s += pause_s
        wanted = min(float(amount), most)
        if wait_s := bucket.lacks_s(wanted):
            clock.now_s += wait_s
            assert bucket.lacks_s(wanted) == pytest.approx(0, abs=1e-6)
        bucket.spend(wanted)
        spent += wanted
        assert spent <= most + rate * (clock.now_s - 100.0) + 1e-6


def test_each_limit_is_told_by_its_name_and_when_to_come_again() -> None:
    clock = Clock()
    rates = KeyRates("search", RateLimits(requests_per_s=2, tokens_per_s=10), clock=clock)

    rates.admit()
    rates.admit()
    with pytest.raises(RateLimited) as requests:
        rates.admit()
    clock.now_s += 1
    rates.admit()
    rates.spend_tokens([0, 29])
    with pytest.raises(RateLimited) as tokens:
        rates.admit()

    assert (requests.value.limit, requests.value.retry_after_s) == ("requests_per_s", 0.5)
    assert (tokens.value.limit, tokens.value.retry_after_s) == ("tokens_per_s", pytest.approx(2.1))


def test_inputs_in_work_are_bounded_and_given_back() -> None:
    rates = KeyRates("search", RateLimits(max_in_work=3))

    began_s = rates.begin(5)  # nothing else is in work
    with pytest.raises(RateLimited, match="max_in_work"):
        rates.begin(1)
    assert rates.in_work == 5
    rates.end(5, began_s)
    rates.begin(2)
    rates.begin(1)
    assert rates.in_work == 3


def test_a_key_without_limits_is_never_refused() -> None:
    rates = KeyRates("search", RateLimits())

    for _ in range(1000):
        rates.admit()
        rates.begin(10**6)
        rates.spend_tokens([10**9])
