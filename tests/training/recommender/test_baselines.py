from __future__ import annotations

import numpy as np
import pytest

from training.recommender.baselines import (
    ease,
    ease_of,
    item_cosine,
    kernel_ridge,
    multi_hot,
    popularity,
    tfidf,
    tfidf_cosine,
)

# Three users, three items; items 0 and 1 are always taken together.
TRAIN = multi_hot([np.array([0, 1]), np.array([0, 1]), np.array([2])], 3)


def test_multi_hot_marks_each_item_once() -> None:
    assert multi_hot([np.array([2, 2]), np.array([], dtype=np.int64)], 3).tolist() == [[0, 0, 1], [0, 0, 0]]


def test_popularity_counts_users() -> None:
    assert popularity(TRAIN).tolist() == [2, 2, 1]


def test_item_cosine_of_items_taken_together_is_one() -> None:
    """cos(0, 1) = 2 / sqrt(2 * 2); items never taken together have 0; the diagonal is left out."""
    expected = np.zeros((3, 3))
    expected[0, 1] = expected[1, 0] = 1.0

    assert item_cosine(TRAIN) == pytest.approx(expected)


def test_item_nobody_took_is_like_no_other() -> None:
    similar = item_cosine(multi_hot([np.array([0])], 2))

    assert np.isfinite(similar).all()
    assert not similar.any()


def test_ease_by_hand() -> None:
    """Of two items, min |x0 - x1 b|^2 + lambda b^2 gives b = x0.x1 / (x1.x1 + lambda) = 2 / (2 + 1)."""
    matrix = ease(TRAIN, 1.0)

    assert matrix[1, 0] == pytest.approx(2 / 3)
    assert matrix[0, 1] == pytest.approx(2 / 3)
    assert np.diag(matrix).tolist() == [0, 0, 0]
    assert matrix[2, :2] == pytest.approx([0, 0])


def test_ease_solves_its_own_least_squares_problem() -> None:
    """Each column is the ridge regression of an item on all the others."""
    train = (np.random.default_rng(0).random((40, 6)) < 0.3).astype(np.float32)
    matrix = ease(train, 2.0)

    for item in range(6):
        others = np.delete(np.arange(6), item)
        x = train[:, others].astype(np.float64)
        expected = np.linalg.solve(x.T @ x + 2.0 * np.eye(5), x.T @ train[:, item])

        assert matrix[others, item] == pytest.approx(expected, abs=1e-5)


def test_tfidf_by_hand() -> None:
    """ "lamp" is in both texts: idf log(3/3) + 1 = 1; "red" in one: log(3/2) + 1."""
    rows = tfidf([["red", "lamp"], ["lamp"]])  # columns: lamp, red

    red = np.log(1.5) + 1
    assert rows[0] == pytest.approx(np.array([1, red]) / np.hypot(1, red))
    assert rows[1] == pytest.approx([1, 0])


def test_item_without_words_has_an_empty_profile() -> None:
    assert not tfidf([[], ["lamp"]])[0].any()
    assert tfidf([[], []]).shape == (2, 1)


def test_cosines_of_tfidf_are_those_of_its_rows() -> None:
    texts = [["red", "lamp", "lamp"], [], ["lamp"], ["red", "bag"], ["blue"]]
    rows = tfidf(texts)

    assert tfidf_cosine(texts) == pytest.approx(rows @ rows.T, abs=1e-6)
    assert tfidf_cosine([[], []]).tolist() == [[0, 0], [0, 0]]


def test_dropout_of_ease_adds_to_the_regularisation_of_frequent_items() -> None:
    """Of two items, b_10 = x0.x1 / (x1.x1 + lambda_1); two users have taken both."""
    matrix = ease_of(TRAIN.T @ TRAIN, np.array([5.0, 1.0, 1.0], dtype=np.float32))

    assert matrix[1, 0] == pytest.approx(2 / 3)
    assert matrix[0, 1] == pytest.approx(2 / 7)


def test_kernel_ridge_predicts_as_ridge_regression_does() -> None:
    """Y'(XX' + r I)^-1 X x = (X'X + r I)^-1 X'Y ' x."""
    random = np.random.default_rng(0)
    known, new, targets = (random.normal(size=shape).astype(np.float32) for shape in ((6, 3), (2, 3), (6, 4)))

    found = targets.T @ kernel_ridge(known @ known.T, known @ new.T, 0.5)

    weights = np.linalg.solve(known.T @ known + 0.5 * np.eye(3), known.T @ targets)
    assert found == pytest.approx((new @ weights).T, abs=1e-4)
