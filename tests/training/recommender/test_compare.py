"""The paired bootstrap, on gaps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from training.recommender.compare import difference, joined


def test_a_gap_that_is_the_same_for_everybody_is_certain() -> None:
    hard = np.linspace(0, 0.9, 50)  # some users are hard for both

    found = difference(hard + 0.1, hard)

    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.better == 1.0


def test_the_interval_is_that_of_the_normal_approximation() -> None:
    gaps = np.random.default_rng(0).normal(0.05, 1.0, 400)

    found = difference(gaps, np.zeros(400))

    error = gaps.std(ddof=1) / 20
    assert found.low == pytest.approx(gaps.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(gaps.mean() + 1.96 * error, abs=0.2 * error)


def test_two_equal_methods_are_not_told_apart() -> None:
    same = np.random.default_rng(0).random(30)

    assert difference(same, same).better == 0.0


def test_users_of_all_folds_are_put_together() -> None:
    parts = [{"ndcg@100": np.array([0.1])}, {"ndcg@100": np.array([0.2, 0.3])}]

    assert joined(parts)["ndcg@100"].tolist() == [0.1, 0.2, 0.3]
