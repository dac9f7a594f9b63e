"""Exact search and its figures, against plain loops and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle import neighbours
from bundle.neighbours import kept, nearest, recall
from encodery.spaces.thresholds import FEWEST, pairs_of, quantile_map, scores_of


def vectors(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, 5)).astype(np.float32)


@given(st.integers(0, 99), st.integers(1, 8), st.integers(1, 30), st.integers(1, 12))
def test_nearest_are_those_of_a_full_sort(seed: int, queries: int, documents: int, k: int) -> None:
    asked, there = vectors(seed, queries), vectors(seed + 1, documents)

    found = nearest(asked, there, k)

    expected = np.argsort(-(asked @ there.T), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found, expected)


@given(st.integers(0, 99), st.integers(2, 30))
def test_a_query_is_not_its_own_neighbour(seed: int, rows: int) -> None:
    there = vectors(seed, rows)

    found = nearest(there, there, 10, own=np.arange(rows))

    assert found.shape == (rows, min(10, rows - 1))
    assert not (found == np.arange(rows)[:, None]).any()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, there = vectors(0, 50), vectors(1, 40)
    whole = nearest(asked, there, own=np.arange(50) % 40)

    monkeypatch.setattr(neighbours, "BLOCK", 120)

    np.testing.assert_array_equal(nearest(asked, there, own=np.arange(50) % 40), whole)


def test_figures_by_hand() -> None:
    # Query 0 keeps 1 of 2, query 1 both in another order.
    assert kept(np.array([[0, 1], [3, 2]]), np.array([[1, 4], [2, 3]])).tolist() == [0.5, 1.0]
    # Query 1 has two relevant documents, one of them found; query 0 is not judged.
    assert recall(np.array([[0, 1], [3, 2]]), {1: frozenset({3, 7})}).tolist() == [0.5]


def test_an_old_threshold_is_worth_what_as_many_pairs_pass() -> None:
    old = np.linspace(0, 1, 1001, dtype=np.float32)

    found = quantile_map(old, old / 2, "cosine")  # the new space says half of it

    assert [one.old for one in found] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    np.testing.assert_allclose([one.new for one in found], [one.old / 2 for one in found], atol=1e-3)
    assert min(one.agreement for one in found) > 0.998


def test_a_threshold_that_hardly_any_pair_passes_is_left_out() -> None:
    old = np.concatenate([np.zeros(100), np.full(FEWEST - 1, 0.95)]).astype(np.float32)

    assert quantile_map(old, old, "cosine") == []


def test_scores_that_are_no_cosines_are_mapped_at_deciles() -> None:
    old = np.linspace(-50, 50, 1001, dtype=np.float32)

    found = quantile_map(old, 3 * old, "inner_product")

    np.testing.assert_allclose([one.new for one in found], [3 * one.old for one in found], atol=0.5)
    assert len(found) == 9


def test_pairs_are_of_all_queries_and_each_once() -> None:
    pairs = pairs_of(np.array([[0, 1], [1, 2]]), np.array([[0, 2], [1, 0]]), 3)

    assert len(set(zip(*map(np.ndarray.tolist, pairs), strict=True))) == len(pairs[0])
    assert set(pairs[0].tolist()) == {0, 1}
    asked, there = vectors(0, 2), vectors(1, 3)
    expected = [float(asked[q] @ there[d]) for q, d in zip(*pairs, strict=True)]
    np.testing.assert_allclose(scores_of(asked, there, pairs), expected, rtol=1e-5)
