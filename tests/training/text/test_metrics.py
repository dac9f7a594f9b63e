"""Figures against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.errors import VectorError
from training.text.metrics import (
    cosines,
    first_hits,
    ranks,
    reciprocal_ranks,
    spearman,
    spearman_values,
    uniformity_values,
)


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


NONE = np.zeros((3, 3), dtype=bool)


def test_first_hits_by_hand() -> None:
    """Query 1 and 3 find their own key; query 2 points at key 3. Lengths do not count."""
    queries = np.array([[1.0, 0], [0, 9], [0, 1]])
    keys = np.array([[2.0, 0], [5, 1], [0, 1]])

    assert first_hits(queries, keys, np.eye(3, dtype=bool), NONE).tolist() == [1, 0, 1]
    assert reciprocal_ranks(queries, keys, np.eye(3, dtype=bool), NONE, at=10).tolist() == [1, 1 / 2, 1]


def test_another_partner_is_a_hit_and_the_text_itself_is_not_asked_about() -> None:
    """Keys 2 and 3 are one text, the partner of queries 2 and 3; key 1 is query 3's own text."""
    queries = np.array([[1.0, 0], [1, 1], [1, 0.1]])
    keys = np.array([[1.0, 0], [1, 1], [1, 1]])
    right = np.array([[True, False, False], [False, True, True], [False, True, True]])
    own = np.array([[False] * 3, [False] * 3, [True, False, False]])

    assert first_hits(queries, keys, right, NONE).tolist() == [1, 1, 0]
    assert first_hits(queries, keys, right, own).tolist() == [1, 1, 1]
    assert reciprocal_ranks(queries, keys, right, NONE, at=10).tolist() == [1, 1, 1 / 2]
    assert reciprocal_ranks(queries, keys, right, NONE, at=1).tolist() == [1, 1, 0]
    assert reciprocal_ranks(queries, keys, right, own, at=10).tolist() == [1, 1, 1]


@given(st.integers(2, 12), st.integers(0, 5))
def test_vectors_that_are_all_alike_hit_by_chance(n: int, seed: int) -> None:
    """Whatever stands first: the share of keys that are right."""
    right = np.eye(n, dtype=bool) | (np.random.default_rng(seed).random((n, n)) < 0.3)
    hits = first_hits(np.ones((n, 4)), np.ones((n, 4)), right, np.zeros((n, n), dtype=bool))

    np.testing.assert_allclose(hits, right.mean(1))
    orders = [np.random.default_rng(seed).permutation(n) for seed in range(2000)]
    by_chance = np.mean([1 / (1 + right[:, order].argmax(1)) for order in orders], axis=0)
    found = reciprocal_ranks(np.ones((n, 4)), np.ones((n, 4)), right, np.zeros((n, n), dtype=bool), at=n)
    np.testing.assert_allclose(found, by_chance, atol=0.05)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_never_a_cosine_of_zero(bad: float) -> None:
    sound, holed = np.ones((5, 2)), np.ones((5, 2))
    holed[3, 1] = bad

    for a, b in ((sound, holed), (holed, sound)):
        with pytest.raises(VectorError, match=r"1 of 5 vectors are not finite .*row 3"):
            cosines(a, b)
        with pytest.raises(VectorError, match=r"1 of 5 vectors are not finite .*row 3"):
            first_hits(a, b, np.eye(5, dtype=bool), np.zeros((5, 5), dtype=bool))
        with pytest.raises(VectorError, match="not finite"):
            spearman(a[:, 1], b[:, 1])


@given(st.permutations(range(6)))
def test_the_order_of_pairs_changes_no_hit_rate(order: list[int]) -> None:
    queries = np.array([[1.0, 0], [1, 0], [0, 1], [1, 1], [1, 1], [-1, 0]])
    keys = np.array([[1.0, 0], [1, 0], [1, 0], [1, 1], [0, 1], [0, 1]])
    right, own = np.eye(6, dtype=bool), np.zeros((6, 6), dtype=bool)
    hits = first_hits(queries[order], keys[order], right, own)

    np.testing.assert_allclose(hits, first_hits(queries, keys, right, own)[order])


def jackknife(statistic: Callable[[NDArray[np.intp]], float], n: int) -> float:
    """The standard error from leaving out one after the other: Efron and Stein 1981."""
    left_out = np.array([statistic(np.delete(np.arange(n), i)) for i in range(n)])
    return float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))


@pytest.mark.parametrize("kind", ["continuous", "graded", "binary"])
@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_the_standard_error_of_spearman_is_the_jackknifes(kind: str, noise: float) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=300)
    near = scores + noise * random.normal(size=300)
    if kind != "continuous":
        scores = np.round(2 * scores) if kind == "graded" else (scores > 0).astype(float)
    values = spearman_values(near, scores)

    # 0.15: how many ties there are is taken as given, and varies a little itself.
    assert values.mean() == pytest.approx(spearman(near, scores))
    assert values.std(ddof=1) / 300**0.5 == pytest.approx(
        jackknife(lambda rows: spearman(near[rows], scores[rows]), 300), rel=0.15
    )


def test_a_constant_has_no_correlation_and_no_error() -> None:
    assert spearman_values(np.ones(9), np.arange(9.0)).tolist() == [0.0] * 9


def test_the_standard_error_of_uniformity_is_the_jackknifes() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 6)) + 0.5
    values = uniformity_values(vectors)
    v = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = np.exp(-2 * (2 - 2 * v @ v.T))[~np.eye(200, dtype=bool)]

    assert values.mean() == pytest.approx(-np.log(near.mean()))
    assert values.std(ddof=1) / 200**0.5 == pytest.approx(
        jackknife(lambda rows: float(uniformity_values(vectors[rows]).mean()), 200), rel=0.1
    )


@pytest.mark.parametrize("n", [1, 5])
def test_vectors_that_are_all_alike_are_not_uniform(n: int) -> None:
    np.testing.assert_allclose(uniformity_values(np.ones((n, 3))), 0.0, atol=1e-12)
