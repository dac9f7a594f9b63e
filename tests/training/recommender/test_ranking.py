from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import ConfigError, VectorError
from training.metrics import MetricValue
from training.recommender.ranking import evaluate_scores, evaluate_vectors, means, metrics_of, rank

# Two users, four items. User 0 had item 3.
SCORES = np.array([[0.1, 0.9, 0.5, 2.0], [0.4, 0.3, 0.2, 0.1]], dtype=np.float32)
HISTORY = [np.array([3]), np.array([], dtype=np.int64)]


def test_history_is_never_ranked_before_other_items() -> None:
    assert rank(SCORES, HISTORY).tolist() == [[1, 2, 0, 3], [0, 1, 2, 3]]


def test_ranking_leaves_the_scores_alone() -> None:
    before = SCORES.copy()

    rank(SCORES, HISTORY)

    assert np.array_equal(before, SCORES)


def test_ties_are_broken_by_chance_and_always_alike() -> None:
    """Of 200 users who had nothing, each of the ten items is the best of about a tenth."""
    scores, history = np.zeros((200, 10), dtype=np.float32), [np.array([], dtype=np.int64)] * 200

    best = rank(scores, history)

    assert np.bincount(best[:, 0], minlength=10).min() > 5
    assert best.tolist() == rank(scores, history).tolist()


def test_encoder_that_tells_nothing_apart_is_worth_a_guess() -> None:
    """Wherever the targets stand among the candidates: 20 of 400 items is a recall of .05."""
    users, items = np.ones((500, 3), dtype=np.float32), np.ones((400, 3), dtype=np.float32)
    for first in (0, 380):
        targets = [np.arange(first, first + 20)] * 500
        values = evaluate_vectors(users, items, [np.array([], dtype=np.int64)] * 500, targets)
        assert values["recall@20"].mean() == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_refused_by_name(side: str, bad: float) -> None:
    vectors = {name: np.ones((3, 2), dtype=np.float32) for name in ("user", "item")}
    vectors[side][1, 0] = bad

    with pytest.raises(VectorError, match=f"1 of 3 {side} vectors are not finite"):
        evaluate_vectors(vectors["user"], vectors["item"], [np.array([0])] * 3, [np.array([1])] * 3)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(VectorError, match="scores of 1 of 2 users are not finite"):
        rank(np.array([[1.0, np.nan], [1.0, 2.0]], dtype=np.float32), HISTORY)


def test_users_without_targets_are_no_nan() -> None:
    with pytest.raises(ConfigError, match="1 of 2 users have no target"):
        evaluate_scores(SCORES, HISTORY, [np.array([1]), np.array([], dtype=np.int64)])
    with pytest.raises(ConfigError, match="no user to measure"):
        evaluate_vectors(np.ones((0, 2), dtype=np.float32), np.ones((3, 2), dtype=np.float32), [], [])


@given(
    scores=st.lists(st.integers(0, 5), min_size=1, max_size=30),
    had=st.sets(st.integers(0, 29)),
    depth=st.integers(1, 40),
)
def test_the_best_are_those_of_a_stable_sort_of_all(scores: list[int], had: set[int], depth: int) -> None:
    """Only the few that can be among them are sorted; which of equal ones is left to chance."""
    row = np.array([scores], dtype=np.float32)
    history = np.array(sorted(item for item in had if item < len(scores)), dtype=np.int64)
    left = row[0].copy()
    left[history] = -np.inf

    found = rank(row, [history], depth)[0]

    assert left[found].tolist() == np.sort(left)[::-1][:depth].tolist()
    assert len(set(found.tolist())) == len(found)


def test_inner_products_are_judged_as_their_scores_are() -> None:
    random = np.random.default_rng(0)
    users, items = random.normal(size=(9, 4)), random.normal(size=(30, 4))
    history, targets = [np.array([1])] * 9, [np.array([2, 3])] * 9

    blocks = means(evaluate_vectors(users, items, history, targets))

    assert blocks == evaluate_scores(users @ items.T, history, targets)


def one(value: str, best: list[int], targets: list[int]) -> float:
    """A metric of one user's ranking."""
    return float(metrics_of(np.array([best]), [np.array(targets)])[value][0])


def recbole(best: list[int], targets: list[int], at: int) -> tuple[float, float]:
    """Recall and NDCG by RecBole 1.2's formulas (recbole/evaluator/metrics.py), term by term."""
    places = [place for place, item in enumerate(best[:at], start=1) if item in targets]
    gain = sum(1 / math.log2(place + 1) for place in places)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(at, len(targets)) + 1))
    return len(places) / len(targets), gain / ideal


@given(
    best=st.permutations(range(120)),
    targets=st.sets(st.integers(0, 140), min_size=1, max_size=60),
    at=st.sampled_from([10, 20, 100]),
)
def test_recall_and_ndcg_are_those_of_recbole(best: list[int], targets: set[int], at: int) -> None:
    """Also where there are more targets than places, and targets that were not ranked at all."""
    recall, ndcg = recbole(best, sorted(targets), at)

    if at != 100:
        assert one(f"recall@{at}", best[:100], sorted(targets)) == pytest.approx(recall, abs=1e-12)
    assert one(f"ndcg@{at}", best[:100], sorted(targets)) == pytest.approx(ndcg, abs=1e-12)


def test_recall_divides_by_all_targets_and_capped_recall_by_what_could_be_hit() -> None:
    """Of 40 targets 20 are the first 20: half of them, and all that there is room for."""
    targets = list(range(40))

    assert one("recall@20", list(range(100)), targets) == 0.5
    assert one("capped recall@20", list(range(100)), targets) == 1.0
    assert (
        one("capped recall@20", list(range(100)), [5, 99])
        == 0.5
        == one("recall@20", list(range(100)), [5, 99])
    )


def test_ndcg_by_hand() -> None:
    """Targets at ranks 1 and 3: (1/log2 2 + 1/log2 4) / (1/log2 2 + 1/log2 3)."""
    expected = (1 + 0.5) / (1 + 1 / np.log2(3))

    assert one("ndcg@100", [1, 2, 0], [1, 0]) == pytest.approx(expected)


def test_perfect_scores_are_judged_as_one() -> None:
    figures = evaluate_scores(
        np.eye(3, dtype=np.float32), [np.array([], dtype=np.int64)] * 3, [np.array([i]) for i in range(3)]
    )

    assert [*figures] == [
        "recall@10",
        "recall@20",
        "recall@50",
        "capped recall@20",
        "ndcg@10",
        "ndcg@20",
        "ndcg@100",
    ]
    assert {found.mean for found in figures.values()} == {1.0}


def test_standard_error_is_the_spread_over_the_root_of_the_count() -> None:
    found = MetricValue.of(np.array([0.0, 1.0, 0.0, 1.0]))

    assert found.mean == 0.5
    assert found.standard_error == pytest.approx(np.sqrt(1 / 3) / 2)
    assert MetricValue.of(np.array([0.3])).standard_error == 0.0
