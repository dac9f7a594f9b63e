"""The suite's arithmetic, against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundle import SparseVector
from training.errors import VectorError
from training.text.suite import ranked
from training.text.suite.bm25 import BM25, words_of
from training.text.suite.kmeans import kmeans, v_measure
from training.text.suite.maps import principal
from training.text.suite.mix import SparseIndex, search_mixed
from training.text.suite.probe import L2, logistic, probe, simplest
from training.text.suite.ranked import (
    NOBODY,
    NOWHERE,
    Places,
    first_relevant,
    ndcg,
    places_of,
    ranking_metrics,
    recall,
    search,
)

TREC_SCORES = [
    [
        0.22,
        0.0,
        0.03,
        0.38,
        0.37,
        0.02,
        0.17,
        0.39,
        0.43,
        0.49,
        0.25,
        0.48,
        0.3,
        0.23,
        0.46,
        0.04,
        0.11,
        0.57,
        0.31,
        0.35,
    ],
    [
        0.5,
        0.18,
        0.59,
        0.28,
        0.12,
        0.58,
        0.01,
        0.42,
        0.13,
        0.44,
        0.21,
        0.2,
        0.24,
        0.15,
        0.32,
        0.45,
        0.52,
        0.1,
        0.47,
        0.41,
    ],
    [
        0.51,
        0.4,
        0.27,
        0.29,
        0.08,
        0.09,
        0.06,
        0.33,
        0.26,
        0.34,
        0.55,
        0.16,
        0.14,
        0.36,
        0.07,
        0.54,
        0.05,
        0.53,
        0.19,
        0.56,
    ],
]
TREC_GAINS: list[dict[int, float]] = [{4: 2.0, 7: 1.0, 11: 3.0}, {19: 1.0, 3: 2.0}, {0: 1.0}]
TREC_NDCG = [0.5223037212560993, 0.11441962494640397, 0.38685280723454163]
TREC_RECALL = [1.0, 0.5, 1.0]
TREC_RECIPROCAL = [0.3333333333333333, 0.1111111111111111, 0.2]
EXACT = 1e-12  # float64 sums of a few terms


def at(ranks: Mapping[int, float]) -> Places:
    """Relevant documents without ties: their gains by rank."""
    above = np.array(list(ranks)) - 1
    return Places(above, np.ones_like(above), np.array(list(ranks.values())))


def test_ndcg_by_hand() -> None:
    """Ranks 1 and 3 of three relevant ones: (1 + 1/2) / (1 + 1/log2 3 + 1/2)."""
    expected = 1.5 / (1.5 + 1 / math.log2(3))

    assert ndcg(at({1: 1.0, 3: 1.0, 11: 1.0})) == pytest.approx(expected, abs=EXACT)
    assert ndcg(at({1: 1.0, 2: 1.0, 3: 1.0})) == pytest.approx(1.0, abs=EXACT)
    assert ndcg(at({11: 1.0})) == 0.0
    assert ndcg(at({NOWHERE + 1: 1.0})) == 0.0


def test_ndcg_of_graded_relevance() -> None:
    """Gains 1 then 3, the ideal is 3 then 1."""
    expected = (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3))

    assert ndcg(at({1: 1.0, 2: 3.0})) == pytest.approx(expected, abs=EXACT)


def test_ndcg_looks_no_deeper_than_it_says() -> None:
    assert ndcg(at({3: 1.0}), at=2) == 0.0
    assert ndcg(at({1: 1.0, 2: 1.0, 3: 1.0}), at=2) == pytest.approx(1.0, abs=EXACT)


def test_first_relevant_and_recall() -> None:
    places = at({3: 1.0, 4: 1.0})

    assert first_relevant(places) == pytest.approx(1 / 3)
    assert first_relevant(at({11: 1.0})) == 0.0
    assert recall(places, 3) == 0.5
    assert recall(places, 4) == 1.0


def test_ties_by_hand() -> None:
    """One of two equal documents on ranks 1 and 2 is relevant; each order is as likely."""
    places = Places(np.array([0]), np.array([2]), np.array([1.0]))

    assert ndcg(places) == pytest.approx((1 + 1 / math.log2(3)) / 2, abs=EXACT)
    assert first_relevant(places) == pytest.approx((1 + 1 / 2) / 2, abs=EXACT)
    assert first_relevant(places, 1) == pytest.approx(0.5, abs=EXACT)
    assert recall(places, 1) == pytest.approx(0.5, abs=EXACT)


@st.composite
def scored(draw: st.DrawFn) -> tuple[list[int], dict[int, float]]:
    """Scores of a few documents, many of them equal, and the gains of the relevant ones."""
    scores = draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    gains = draw(
        st.dictionaries(st.integers(0, len(scores) - 1), st.sampled_from([1.0, 2.0, 5.0]), min_size=1)
    )
    return scores, gains


@given(scored())
def test_ties_are_counted_as_the_mean_over_all_orders(case: tuple[list[int], dict[int, float]]) -> None:
    scores, gains = case
    places = places_of(np.array(scores, dtype=float), gains, np.ones(len(scores), dtype=bool))
    orders = [
        sorted(range(len(scores)), key=lambda one: (-scores[one], order[one]))
        for order in permutations(range(len(scores)))
    ]
    untied = [at({order.index(one) + 1: gain for one, gain in gains.items()}) for order in orders]

    for metric in (
        lambda one: ndcg(one, 3),
        lambda one: first_relevant(one, 3),
        lambda one: first_relevant(one, 1),
        lambda one: recall(one, 2),
    ):
        assert metric(places) == pytest.approx(np.mean([metric(one) for one in untied]), abs=1e-9)


def test_figures_are_those_of_pytrec_eval() -> None:
    """Three queries, graded; written down from pytrec_eval 0.5.11 (ndcg_cut_10, recall_10, recip_rank)."""
    scores = np.array(TREC_SCORES)
    found = [
        places_of(row, gains, np.ones(len(row), dtype=bool))
        for row, gains in zip(scores, TREC_GAINS, strict=True)
    ]

    assert [ndcg(one) for one in found] == pytest.approx(TREC_NDCG, abs=1e-6)
    assert [recall(one, 10) for one in found] == pytest.approx(TREC_RECALL, abs=1e-6)
    assert [first_relevant(one, 100) for one in found] == pytest.approx(TREC_RECIPROCAL, abs=1e-6)


def test_search_in_blocks_finds_what_one_table_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    documents = random.integers(-3, 4, size=(300, 6)).astype(np.float32)  # whole numbers: many ties
    queries = random.integers(-3, 4, size=(7, 6)).astype(np.float32)
    relevant = [
        {int(one): 1.0 for one in random.choice(300, size=1 + number, replace=False)} for number in range(7)
    ]
    own = np.array([5, NOBODY, 64, 299, NOBODY, 0, 1])
    monkeypatch.setattr(ranked, "DOCUMENTS", 64)
    monkeypatch.setattr(ranked, "QUERIES", 3)
    monkeypatch.setattr(ranked, "PAIRS", 2)

    places = search(queries, lambda start, stop: documents[start:stop], len(documents), relevant, own)

    for row, (query, gains) in enumerate(zip(queries, relevant, strict=True)):
        found = np.arange(300) != own[row]
        expected = places_of((documents @ query).astype(float), gains, found)
        listed = [one in found.nonzero()[0] for one in gains]
        assert places[row].above[listed].tolist() == expected.above[listed].tolist()
        assert places[row].tied[listed].tolist() == expected.tied[listed].tolist()
        assert places[row].gains.tolist() == list(gains.values())


def test_vectors_that_are_not_finite_are_refused() -> None:
    sound, holed = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)
    holed[1, 2] = np.nan
    nobody = np.full(3, NOBODY)
    relevant = [{0: 1.0}] * 3

    with pytest.raises(VectorError, match=r"queries: 1 of 3 vectors are not finite.*row 1"):
        search(holed, lambda start, stop: sound[start:stop], 3, relevant, nobody)
    with pytest.raises(VectorError, match="documents: 1 of 3"):
        search(sound, lambda start, stop: holed[start:stop], 3, relevant, nobody)
    with pytest.raises(VectorError, match="texts: 1 of 3"):
        kmeans(holed, 2, np.random.default_rng(0))
    for train, judged in ((holed, sound), (sound, holed)):
        with pytest.raises(VectorError, match="1 of 3"):
            probe((train, np.array([0, 1, 0])), np.arange(3), (judged, np.array([0, 1, 0])))


def test_a_ranking_is_a_mean_over_queries_with_its_standard_error() -> None:
    found = ranking_metrics([at({1: 1.0}), at({11: 1.0})])

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
    assert index.places("red cat", {0: 1.0, 1: 1.0}).above.tolist() == [1, 0]
    assert index.places("red cat", {2: 1.0}).above.tolist() == [NOWHERE]  # no word in common
    assert index.places("The what?", {0: 1.0}).above.tolist() == [NOWHERE]
    assert index.places("red cat", {0: 1.0}, own=1).above.tolist() == [0]


sparse_rows = st.lists(
    st.dictionaries(st.integers(0, 6), st.floats(0.125, 9, width=32)), min_size=1, max_size=6
)


def sparse(weights: dict[int, float]) -> SparseVector:
    indices = sorted(weights)
    values = np.array([weights[one] for one in indices], np.float32)
    return SparseVector(np.array(indices, np.uint32), values)


@given(sparse_rows, st.dictionaries(st.integers(0, 6), st.floats(0.125, 9, width=32)))
def test_an_index_of_sparse_vectors_gives_their_inner_products(
    documents: list[dict[int, float]], query: dict[int, float]
) -> None:
    rows = [sparse(one) for one in documents]

    found = SparseIndex(rows).scores(sparse(query))

    assert found.tolist() == pytest.approx([sparse(query) @ one for one in rows], abs=EXACT)


def test_a_mix_ranks_by_both_parts() -> None:
    """Of documents that are alike near, the one with the word of the query comes first, and not itself."""
    near, far = [1.0, 0.0], [0.0, 1.0]
    dense = np.array([near, near, near, far], np.float32)
    words = [sparse({1: 1.0}), sparse({2: 1.0}), sparse({1: 1.0}), sparse({1: 1.0})]

    [places] = search_mixed((dense[:1], words[:1]), (dense, words), [{1: 1.0, 2: 1.0, 3: 1.0}], np.array([0]))

    # Cosines 1, 1, 0 and words 0, 1, 1: .6, 1 and .4.
    assert places.above.tolist() == [1, 0, 2]


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

    def accuracy(names: np.ndarray, vectors: np.ndarray = points) -> float:
        folds = np.arange(400) % 3
        found = probe((vectors[:400], names[:400]), folds, (vectors[400:], names[400:]))
        return float(found.right.mean())

    assert accuracy(labels) > 0.97
    assert abs(accuracy(shuffled) - 1 / 3) < 0.1  # three standard errors of 200 guesses
    assert abs(accuracy(labels, np.ones_like(points)) - 1 / 3) < 0.01  # always the same label


def test_the_probe_is_at_a_minimum() -> None:
    """There, the gradient of the loss vanishes: x'(p - y) / n + l2 W = 0."""
    random = np.random.default_rng(1)
    x = torch.from_numpy(random.normal(size=(50, 4)).astype(np.float32))
    y = torch.from_numpy(np.arange(50) % 3)

    fit = logistic(x, y, l2=0.1, start=torch.zeros(5, 3), gradient=1e-5)

    weights = fit.weights
    error = torch.softmax(torch.addmm(weights[-1], x, weights[:-1]), 1) - torch.nn.functional.one_hot(y, 3)
    assert fit.gradient <= 1e-5
    assert (x.T @ error / 50 + 0.1 * weights[:-1]).abs().max() < 2e-5
    assert error.mean(0).abs().max() < 2e-5


def test_the_simplest_within_a_standard_error_is_chosen() -> None:
    """100 texts, the best at .80: its standard error is .0402, so .76 is near enough and .75 is not."""

    def right(*counts: int) -> np.ndarray:
        return np.array([[1.0] * count + [0.0] * (100 - count) for count in counts])

    assert simplest(right(75, 77, 80, 79)) == L2[1]
    assert simplest(right(75, 75, 80, 80)) == L2[2]
    assert simplest(right(80, 80, 80, 80)) == L2[0]
    assert simplest(right(10, 20, 30, 90)) == L2[3]


def test_the_map_shows_the_directions_of_most_variance() -> None:
    points = np.array([[3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=np.float32)

    places, explained = principal(points)

    assert explained == pytest.approx(1.0)
    assert np.abs(places) == pytest.approx(np.array([[3, 0], [3, 0], [0, 1], [0, 1]]) / 3, abs=1e-6)
