"""Whatever one row does to a forward pass, the others get their own vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from app.engine.isolation import run_isolated
from bundle import Facts, Prepared


class PanicException(BaseException):
    """Like pyo3's: not an Exception."""


def rows(n: int) -> list[Prepared]:
    return [Prepared({"row": np.array([row])}, 1, Facts()) for row in range(n)]


def row_of(one: Prepared) -> int:
    return int(one.arrays["row"][0])


def raising(batch: Sequence[Prepared], bad: set[int]) -> np.ndarray:
    if any(row_of(one) in bad for one in batch):
        raise PanicException
    return np.array([[row_of(one), 1.0] for one in batch], np.float32)


def spreading(batch: Sequence[Prepared], bad: set[int]) -> np.ndarray:
    """As in a packed batch: one row's NaN is in all that follow it."""
    vectors = np.array([[row_of(one), 1.0] for one in batch], np.float32)
    culprits = [place for place, one in enumerate(batch) if row_of(one) in bad]
    if culprits:
        vectors[culprits[0] :] = np.nan
    return vectors


def losing(batch: Sequence[Prepared], bad: set[int]) -> np.ndarray:
    """Fewer rows than were given."""
    return np.array([[row_of(one), 1.0] for one in batch if row_of(one) not in bad], np.float32).reshape(
        -1, 2
    )


@pytest.mark.parametrize("spoil", [raising, spreading, losing])
@given(st.data())
def test_only_the_culprits_fail(spoil: Callable[..., np.ndarray], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 40))
    bad = data.draw(st.sets(st.integers(0, n - 1)))

    outcome = run_isolated(lambda batch: spoil(batch, bad), rows(n))

    assert set(outcome.failures) == bad
    assert len(outcome.vectors) == n
    for row in set(range(n)) - bad:
        assert outcome.vectors[row].tolist() == [row, 1.0]


def test_one_culprit_costs_its_neighbours_two_passes_for_each_halving() -> None:
    passes: list[int] = []

    def run(batch: Sequence[Prepared]) -> np.ndarray:
        passes.append(len(batch))
        return spreading(batch, {300})

    assert list(run_isolated(run, rows(1024)).failures) == [300]
    assert len(passes) == 1 + 2 * 10


def test_a_vector_that_is_not_finite_has_no_cause() -> None:
    assert run_isolated(lambda batch: spreading(batch, {1}), rows(2)).failures == {1: None}


def test_what_was_raised_is_kept_for_the_log() -> None:
    assert isinstance(run_isolated(lambda batch: raising(batch, {0}), rows(3)).failures[0], PanicException)


def test_the_time_of_all_passes_counts() -> None:
    outcome = run_isolated(lambda batch: raising(batch, {0}), rows(3))

    assert outcome.wall_s >= outcome.cpu_s * 0.5 > 0
