"""The suite's arithmetic, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from training.text.suite import ranked
from training.text.suite.bm25 import BM25, words_of
from training.text.suite.kmeans import kmeans, v_measure
from training.text.suite.maps import principal
from training.text.suite.probe import classified_right, logistic
from training.text.suite.ranked import NOBODY, first, ndcg, ranking_metrics, recall, reciprocal_rank, search

EXACT = 1e-12  # float64 sums of a few terms


def test_ndcg_by_hand() -> None:
    """Ranks 1 and 3 of three relevant ones: (1 + 1/2) / (1 + 1/log2 3 + 1/2)."""
    gains = {7: 1.0, 8: 1.0, 9: 1.0}

    assert ndcg([7, 1, 8, 2], gains) == pytest.approx(1.5 / (1.5 + 1 / math.log2(3)), abs=EXACT)
    assert ndcg([7, 8, 9], gains) == pytest.approx(1.0, abs=EXACT)
    assert ndcg([1, 2], gains) == 0.0
    assert ndcg([], gains) == 0.0


def test_ndcg_of_graded_relevance() -> None:
    """Gains 1 then 3, the ideal is 3 then 1."""
    expected = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))

    assert ndcg([5, 6], {5: 1.0, 6: 3.0}) == pytest.approx(expected, abs=EXACT)


def test_ndcg_looks_no_deeper_than_it_says() -> None:
    assert ndcg([1, 2, 3], {3: 1.0}, at=2) == 0.0
    assert ndcg([1, 2], {1: 1.0, 2: 1.0, 3: 1.0}, at=2) == 1.0


def test_reciprocal_rank_and_recall() -> None:
    gains = {4: 1.0, 5: 1.0}

    assert reciprocal_rank([9, 9, 4, 5], gains) == pytest.approx(1 / 3)
    assert reciprocal_rank([1] * 10 + [4], gains) == 0.0
    assert recall([4, 1, 5], gains, 2) == 0.5
    assert recall([4, 1, 5], gains, 3) == 1.0


def test_ties_keep_their_order_even_at_the_edge() -> None:
    assert first(np.array([1.0, 3.0, 2.0, 3.0, 2.0]), 3).tolist() == [1, 3, 2]
    assert first(np.array([0.0, 0.0, 0.0]), 2).tolist() == [0, 1]
    assert first(np.array([1.0]), 5).tolist() == [0]


def test_search_in_blocks_finds_what_one_sort_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    documents = random.integers(-3, 4, size=(300, 6)).astype(np.float32)  # whole numbers: many ties
    queries = random.integers(-3, 4, size=(7, 6)).astype(np.float32)
    monkeypatch.setattr(ranked, "DOCUMENTS", 64)
    monkeypatch.setattr(ranked, "QUERIES", 3)

    best = search(queries, lambda start, stop: documents[start:stop], len(documents))

    scores = queries @ documents.T
    assert best.tolist() == np.argsort(-scores, axis=1, kind="stable")[:, : ranked.DEPTH].tolist()


def test_search_among_few_documents_ends_in_nobody() -> None:
    best = search(np.eye(2, dtype=np.float32), lambda start, stop: np.eye(2, dtype=np.float32), 2)

    assert best[:, :3].tolist() == [[0, 1, NOBODY], [1, 0, NOBODY]]


def test_judge_is_a_mean_over_queries_with_its_standard_error() -> None:
    found = ranking_metrics(np.array([[0, 1], [1, NOBODY]]), [{0: 1.0}, {0: 1.0}])

    assert (found["hit@1"].mean, found["recall@10"].mean, found["mrr@10"].mean) == (0.5, 0.5, 0.5)
    assert found["hit@1"].standard_error == pytest.approx(0.5)  # of 1 and 0: sqrt(1/2) / sqrt(2)


def test_bm25_by_hand() -> None:
    """Three documents of 2, 3 and 1 words, mean 2; k1 1.2, b 0.75."""
    index = BM25(["red lamp", "red red cat", "dog"])
    rare, common = math.log1p((3 - 1 + 0.5) / 1.5), math.log1p((3 - 2 + 0.5) / 2.5)
    long = 1.2 * (0.25 + 0.75 * 3 / 2)

    assert index.scores("lamp")[0] == pytest.approx(rare * 2.2 / (1 + 1.2), abs=EXACT)
    assert index.scores("red").tolist() == pytest.approx(
        [common, common * 2 * 2.2 / (2 + long), 0.0], abs=EXACT
    )
    assert index.search(["red cat", "The what?"])[:, :3].tolist() == [[1, 0, NOBODY], [NOBODY] * 3]


def test_words_are_lower_case_without_stop_words() -> None:
    assert words_of("What is the Größe of COVID-19?") == ["größe", "covid", "19"]


def test_v_measure_of_known_partitions() -> None:
    labels = np.array([0, 0, 1, 1])

    assert v_measure(labels, np.array([5, 5, 2, 2])) == pytest.approx(1.0)  # the same, named otherwise
    assert v_measure(labels, np.array([0, 1, 2, 3])) == pytest.approx(2 / 3)  # homogeneous: h 1, c 1/2
    assert v_measure(labels, np.array([0, 0, 0, 0])) == pytest.approx(0.0)  # complete: h 0, c 1
    assert v_measure(labels, np.array([0, 1, 0, 1])) == pytest.approx(0.0)  # independent


def test_kmeans_finds_clusters_that_are_there() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    points = (np.eye(3)[labels] * 10 + random.normal(size=(120, 3))).astype(np.float32)

    found = [kmeans(points, 3, np.random.default_rng(seed)) for seed in range(5)]

    assert max(v_measure(labels, clusters) for clusters in found) == pytest.approx(1.0)
    assert (kmeans(points, 3, np.random.default_rng(0)) == found[0]).all()


def test_kmeans_of_equal_points_ends() -> None:
    assert kmeans(np.ones((5, 2), dtype=np.float32), 3, np.random.default_rng(0)).shape == (5,)


def test_the_probe_tells_what_is_separable_and_guesses_what_is_not() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(600) % 3
    points = (np.eye(3)[labels] * 4 + random.normal(size=(600, 3))).astype(np.float32)
    shuffled = random.permutation(labels)

    def accuracy(names: np.ndarray) -> float:
        parts = [(points[i:j], names[i:j]) for i, j in ((0, 300), (300, 400), (400, 600))]
        return float(classified_right(*parts).mean())

    assert accuracy(labels) > 0.97
    assert abs(accuracy(shuffled) - 1 / 3) < 0.1  # three standard errors of 200 guesses


def test_the_probe_is_at_a_minimum() -> None:
    """There, the gradient of the loss vanishes: x'(p - y) / n + l2 W = 0."""
    random = np.random.default_rng(1)
    x = torch.from_numpy(random.normal(size=(50, 4)).astype(np.float32))
    y = torch.from_numpy(np.arange(50) % 3)

    weights = logistic(x, y, l2=0.1, start=torch.zeros(5, 3), steps=100)

    error = torch.softmax(torch.addmm(weights[-1], x, weights[:-1]), 1) - torch.nn.functional.one_hot(y, 3)
    assert (x.T @ error / 50 + 0.1 * weights[:-1]).abs().max() < 1e-4
    assert error.mean(0).abs().max() < 1e-4


def test_the_map_shows_the_directions_of_most_variance() -> None:
    points = np.array([[3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=np.float32)

    places, explained = principal(points)

    assert explained == pytest.approx(1.0)
    assert np.abs(places) == pytest.approx(np.array([[3, 0], [3, 0], [0, 1], [0, 1]]) / 3, abs=1e-6)
