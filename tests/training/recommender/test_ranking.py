from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import MetricValue
from training.recommender.ranking import evaluate_scores, evaluate_vectors, ndcg, rank, recall

# Two users, four items. User 0 had item 3.
SCORES = np.array([[0.1, 0.9, 0.5, 2.0], [0.4, 0.3, 0.2, 0.1]], dtype=np.float32)
HISTORY = [np.array([3]), np.array([], dtype=np.int64)]


def test_history_is_never_ranked_before_other_items() -> None:
    assert rank(SCORES, HISTORY).tolist() == [[1, 2, 0, 3], [0, 1, 2, 3]]


def test_ranking_leaves_the_scores_alone() -> None:
    before = SCORES.copy()

    rank(SCORES, HISTORY)

    assert np.array_equal(before, SCORES)


def test_ties_go_to_the_lower_item_number() -> None:
    assert rank(np.zeros((1, 3), dtype=np.float32), [np.array([], dtype=np.int64)]).tolist() == [[0, 1, 2]]


@given(
    scores=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    had=st.sets(st.integers(0, 29)),
    depth=st.integers(1, 40),
)
def test_the_best_are_those_of_a_stable_sort_of_all(scores: list[int], had: set[int], depth: int) -> None:
    """Only the few that can be among them are sorted; most of these numbers are equal."""
    row = np.array([scores], dtype=np.float32)
    history = np.array(sorted(item for item in had if item < len(scores)), dtype=np.int64)
    left = row[0].copy()
    left[history] = -np.inf

    expected = np.argsort(-left, kind="stable")[:depth]

    assert rank(row, [history], depth)[0].tolist() == expected.tolist()


def test_inner_products_are_judged_as_their_scores_are() -> None:
    random = np.random.default_rng(0)
    users, items = random.normal(size=(9, 4)), random.normal(size=(30, 4))
    history, targets = [np.array([1])] * 9, [np.array([2, 3])] * 9

    assert evaluate_vectors(users, items, history, targets) == evaluate_scores(
        users @ items.T, history, targets
    )


def test_recall_divides_by_what_could_be_hit() -> None:
    """One of two targets in the first one: 1 / min(1, 2); one of two in the first two: 1 / 2."""
    best = np.array([[1, 2, 0]])
    targets = [np.array([1, 0])]

    assert recall(best, targets, 1).tolist() == [1.0]
    assert recall(best, targets, 2).tolist() == [0.5]


def test_ndcg_by_hand() -> None:
    """Targets at ranks 1 and 3: (1/log2 2 + 1/log2 4) / (1/log2 2 + 1/log2 3)."""
    best = np.array([[1, 2, 0]])

    expected = (1 + 0.5) / (1 + 1 / np.log2(3))

    assert ndcg(best, [np.array([1, 0])], 100)[0] == pytest.approx(expected)


def test_ideal_of_ndcg_is_cut_as_the_ranking_is() -> None:
    """With one place, two targets and a hit, nothing better is possible."""
    assert ndcg(np.array([[1, 2, 0]]), [np.array([1, 0])], 1).tolist() == [1.0]


def test_perfect_scores_are_judged_as_one() -> None:
    figures = evaluate_scores(
        np.eye(3, dtype=np.float32), [np.array([], dtype=np.int64)] * 3, [np.array([i]) for i in range(3)]
    )

    assert {name: found.mean for name, found in figures.items()} == {
        "recall@20": 1.0,
        "recall@50": 1.0,
        "ndcg@100": 1.0,
    }


def test_standard_error_is_the_spread_over_the_root_of_the_count() -> None:
    found = MetricValue.of(np.array([0.0, 1.0, 0.0, 1.0]))

    assert found.mean == 0.5
    assert found.standard_error == pytest.approx(np.sqrt(1 / 3) / 2)
    assert MetricValue.of(np.array([0.3])).standard_error == 0.0
