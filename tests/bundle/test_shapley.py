"""Shapley values, against sums over all orders and closed forms; and what every plan must hold to."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.shapley import ENUMERATED, METHODS, Masks, Values, leave_one_out, of_mean, run, shapley

EXACT = 1e-9  # of sums of a few float64 numbers
MOST = 10_000  # masks
pieces = st.integers(1, 20)
seeds = st.integers(0, 10_000)
Game = Callable[[Masks], Values]


def of_sum(parts: Values, base: Values) -> Game:
    return lambda masks: base + masks @ parts


def mean_of(parts: Values, base: Values) -> Game:
    def game(masks: Masks) -> Values:
        sizes = masks.sum(axis=1, keepdims=True)
        return np.where(sizes, masks @ parts / np.maximum(sizes, 1), base)

    return game


def curved(parts: Values, base: Values) -> Game:
    """Neither a sum nor a mean: pieces help and hinder each other."""
    return lambda masks: np.tanh(masks @ parts) + base + (masks @ parts[::-1]) ** 2


def made(seed: int, n: int, c: int = 2) -> tuple[Values, Values]:
    random = np.random.default_rng(seed)
    return random.standard_normal((n, c)), random.standard_normal(c)


def over_all_orders(game: Game, n: int) -> Values:
    """The definition, order by order."""
    orders = list(permutations(range(n)))
    found = np.zeros_like(game(np.zeros((n, n), np.bool_)))
    for order in orders:
        masks = np.array([[piece in order[:size] for piece in range(n)] for size in range(n + 1)])
        found[list(order)] += np.diff(game(masks), axis=0)
    return found / len(orders)


@given(seeds, st.integers(1, 5))
def test_few_pieces_get_the_mean_over_all_orders(seed: int, n: int) -> None:
    game = curved(*made(seed, n))

    found = run(shapley(n, MOST), game)

    assert found.is_exact
    np.testing.assert_allclose(found.values, over_all_orders(game, n), atol=EXACT)


@given(seeds, pieces)
def test_shapley_values_add_up_to_score_less_base(seed: int, n: int) -> None:
    game = curved(*made(seed, n))

    found = run(shapley(n, MOST), game)

    np.testing.assert_allclose(found.residual, 0, atol=1e-6 * np.abs(found.score).max() + EXACT)
    np.testing.assert_allclose(found.score, game(np.ones((1, n), np.bool_))[0], rtol=EXACT)
    np.testing.assert_allclose(found.base, game(np.zeros((1, n), np.bool_))[0], rtol=EXACT)


@given(seeds, pieces, st.sampled_from(sorted(METHODS)))
def test_of_a_sum_each_piece_gets_its_own_part(seed: int, n: int, method: str) -> None:
    parts, base = made(seed, n)

    found = run(METHODS[method](n, MOST), of_sum(parts, base))

    assert found.is_exact
    assert not found.errors.any()
    np.testing.assert_allclose(found.values, parts, atol=EXACT)


@given(seeds, st.integers(2, 6))
def test_the_closed_form_of_a_mean_is_the_mean_over_all_orders(seed: int, n: int) -> None:
    parts, base = made(seed, n)

    np.testing.assert_allclose(of_mean(parts, base), over_all_orders(mean_of(parts, base), n), atol=EXACT)


@given(seeds, st.integers(ENUMERATED + 1, 40))
def test_a_mean_is_recognised_and_solved(seed: int, n: int) -> None:
    parts, base = made(seed, n)
    asked: list[int] = []

    def counted(masks: Masks) -> Values:
        asked.append(len(masks))
        return mean_of(parts, base)(masks)

    found = run(shapley(n, MOST), counted)

    assert found.is_exact
    assert sum(asked) == 2 + 2 * (n - 1)
    np.testing.assert_allclose(found.values, of_mean(parts, base), atol=1e-8)


@given(seeds, st.integers(ENUMERATED + 1, 20), st.integers(0, 400))
def test_no_more_masks_than_allowed_but_for_two_pairs(seed: int, n: int, most: int) -> None:
    game, asked = curved(*made(seed, n)), []

    def counted(masks: Masks) -> Values:
        asked.append(len(masks))
        return game(masks)

    run(shapley(n, most), counted)

    assert sum(asked[1:]) <= max(most, 4 * (n - 1))


@pytest.mark.parametrize("seed", range(3))
def test_standard_errors_tell_how_far_estimates_are_off(seed: int) -> None:
    game = curved(*made(seed, 9))
    exact = over_all_subsets(game, 9)

    found = run(shapley(9, 1000), game)

    assert not found.is_exact
    off = np.sqrt(np.square(found.values - exact).mean())
    told = np.sqrt(np.square(found.errors).mean())
    assert 1 / 3 < off / told < 3


def over_all_subsets(game: Game, n: int) -> Values:
    """By removing one piece at a time from every subset, weighted by the factorials of the definition."""
    masks = (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
    values = game(masks)
    found = np.zeros((n, values.shape[1]))
    for number, mask in enumerate(masks):
        size = int(mask.sum())
        for piece in np.flatnonzero(~mask):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            found[piece] += weight * (values[number | 1 << piece] - values[number])
    return found


@given(seeds, pieces)
def test_leave_one_out_is_what_the_score_loses(seed: int, n: int) -> None:
    game = curved(*made(seed, n))

    found = run(leave_one_out(n), game)

    for piece in range(n):
        mask = np.arange(n)[None] != piece
        np.testing.assert_allclose(found.values[piece], found.score - game(mask)[0], atol=EXACT)
    np.testing.assert_allclose(
        found.residual, found.score - found.base - found.values.sum(axis=0), atol=EXACT
    )


@given(seeds, st.integers(8, 14))
def test_a_piece_that_changes_nothing_gets_nothing(seed: int, n: int) -> None:
    parts, base = made(seed, n)
    game = curved(parts, base)

    def without_the_first(masks: Masks) -> Values:
        kept = masks.copy()
        kept[:, 0] = False
        return game(kept)

    values = run(shapley(n, MOST), without_the_first).values
    assert np.abs(values[0]).max() <= EXACT * np.abs(values).max()


@given(seeds, st.integers(8, 14))
def test_the_same_question_gets_the_same_answer(seed: int, n: int) -> None:
    game = curved(*made(seed, n))

    first, second = (run(shapley(n, MOST), game) for _ in range(2))

    np.testing.assert_array_equal(first.values, second.values)
