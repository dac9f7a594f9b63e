"""Figures against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import VectorError
from training.text.metrics import cosines, first_hit_rate, ranks, spearman


def test_ties_share_their_mean_rank() -> None:
    assert ranks(np.array([10.0, 30.0, 20.0, 30.0, 30.0])).tolist() == [1.0, 4.0, 2.0, 4.0, 4.0]


def test_spearman_by_hand() -> None:
    """Ranks 1 2 3 4 5 and 2 1 4 3 5: 1 - 6 * sum of d^2 / (n (n^2 - 1)) = 1 - 6 * 4 / 120."""
    found = spearman(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([20.0, 10.0, 40.0, 30.0, 50.0]))

    assert found == pytest.approx(0.8)


def test_spearman_with_ties_by_hand() -> None:
    """Ranks 1 2.5 2.5 4 and 1 2 3 4: covariance 4.5, variances 4.5 and 5, so 4.5 / sqrt(22.5)."""
    found = spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))

    assert found == pytest.approx(4.5 / 22.5**0.5)


def test_spearman_with_a_constant_side_is_zero() -> None:
    assert spearman(np.ones(4), np.arange(4.0)) == 0.0


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=30))
def test_spearman_sees_the_order_only(values: list[int]) -> None:
    a = np.array(values, dtype=float)
    b = np.roll(a, 1)

    assert -1 - 1e-9 <= spearman(a, b) <= 1 + 1e-9
    assert spearman(np.exp(a / 10), 3 * b + 7) == pytest.approx(spearman(a, b))
    assert spearman(-a, b) == pytest.approx(-spearman(a, b))


def test_cosines_by_hand() -> None:
    """The same direction, a right angle, opposite, 45 degrees, and a zero row."""
    a = np.array([[1.0, 0], [1, 0], [1, 2], [1, 0], [0, 0]], dtype=np.float32)
    b = np.array([[5.0, 0], [0, 2], [-2, -4], [3, 3], [1, 1]], dtype=np.float32)

    np.testing.assert_allclose(cosines(a, b), [1, 0, -1, 0.5**0.5, 0], atol=1e-12)


def test_cosines_of_half_precision_do_not_overflow() -> None:
    large = np.full((1, 384), 6e4, dtype=np.float16)

    np.testing.assert_allclose(cosines(large, large), [1.0])


def test_first_hit_rate_by_hand() -> None:
    """Query 1 and 3 find their own key; query 2 points at key 3. Lengths do not count."""
    queries = np.array([[1.0, 0], [0, 9], [0, 1]])
    keys = np.array([[2.0, 0], [5, 1], [0, 1]])

    assert first_hit_rate(queries, keys) == pytest.approx(2 / 3)


def test_a_hit_among_equals_counts_as_its_chance() -> None:
    """Vectors that are all alike find one of n; the pair whose key is there twice, half."""
    same = np.ones((8, 3), dtype=np.float32)
    queries, keys = np.eye(3), np.array([[1.0, 0, 0], [3.0, 0, 0], [0, 0, 1]])

    assert first_hit_rate(same, same * 7) == pytest.approx(1 / 8)
    assert first_hit_rate(queries, keys) == pytest.approx(
        (1 / 2 + 1 / 3 + 1) / 3
    )  # the second is at 0 to all


@given(st.permutations(range(6)))
def test_the_order_of_pairs_changes_no_hit_rate(order: list[int]) -> None:
    queries = np.array([[1.0, 0], [1, 0], [0, 1], [1, 1], [1, 1], [-1, 0]])
    keys = np.array([[1.0, 0], [1, 0], [1, 0], [1, 1], [0, 1], [0, 1]])

    assert first_hit_rate(queries[order], keys[order]) == pytest.approx(first_hit_rate(queries, keys))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_never_a_cosine_of_zero(bad: float) -> None:
    sound, holed = np.ones((5, 2)), np.ones((5, 2))
    holed[3, 1] = bad

    for a, b in ((sound, holed), (holed, sound)):
        with pytest.raises(VectorError, match=r"1 of 5 vectors are not finite .*row 3"):
            cosines(a, b)
        with pytest.raises(VectorError, match=r"1 of 5 vectors are not finite .*row 3"):
            first_hit_rate(a, b)
        with pytest.raises(VectorError, match="not finite"):
            spearman(a[:, 1], b[:, 1])
