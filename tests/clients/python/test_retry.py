"""When it tries again, by itself: no sending, no sleeping."""

from __future__ import annotations

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encodery_client import DeadlineExceeded, Retry, ServerUnreachable
from encodery_client.retry import JITTER, Send, Wait, attempts


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_bounded_whatever_the_chance(failed: int, chance: float) -> None:
    retry = Retry(base_s=0.1, longest_s=3.0)

    assert 0 <= retry.wait_s(failed, None, lambda: chance) <= 3.0
    assert 7 <= retry.wait_s(failed, 7.0, lambda: chance) <= 7 * (1 + JITTER)


def test_waits_double_until_the_longest() -> None:
    retry = Retry(base_s=1.0, longest_s=3.0)

    assert [retry.wait_s(failed, None, lambda: 1.0) for failed in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, 3.0]


def test_a_deadline_that_is_over_ends_it() -> None:
    with pytest.raises(DeadlineExceeded):
        next(attempts(Retry(), 0.0, lambda: 1.0))


def test_a_timeout_at_the_deadline_is_the_deadlines() -> None:
    now_s = 0.0
    steps = attempts(Retry(), 5.0, lambda: now_s)
    assert next(steps) == Send(5.0)
    now_s = 5.0

    with pytest.raises(DeadlineExceeded):
        steps.send(httpx.ReadTimeout("slow"))


def test_a_broken_connection_is_tried_again_with_the_time_that_is_left() -> None:
    now_s = 0.0
    steps = attempts(Retry(attempts=2, base_s=1.0), 5.0, lambda: now_s, lambda: 0.5)
    next(steps)
    now_s = 1.0
    assert steps.send(httpx.ConnectError("no")) == Wait(0.5)
    assert steps.send(None) == Send(4.0)

    with pytest.raises(ServerUnreachable):
        steps.send(httpx.ConnectError("no"))
