"""When work would be done, in seconds that can be added up by hand."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from app.engine.forecast import Waiting, wait_s
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
