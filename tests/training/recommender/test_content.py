"""The regression from the items' content, against fitting it again without the item that is left out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from training.recommender.encoders.content import (
    RIDGES,
    choose_ridge,
    left_out_error,
    precision,
    predicted_diagonal,
)

RIDGE = 0.5


def fitted(content: Tensor, rows: Tensor, ridge: float) -> Tensor:
    """(X'X + ridge I)^-1 X'Y, as the textbook has it."""
    gram = content.T @ content + ridge * torch.eye(content.shape[1])
    return torch.linalg.solve(gram, content.T @ rows)


def without(item: int, rows: Tensor) -> Tensor:
    return torch.cat([rows[:item], rows[item + 1 :]])


def hollow(*shape: int, seed: int) -> Tensor:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return matrix - torch.diag(matrix.diagonal())


def test_an_item_alike_says_what_it_has_itself() -> None:
    """Items 0 and 1 share their only word, 2 has its own. With ridge 1 a left-out 0 gets 1 / (1 + 1) of
    what 1 has, B_01 / 2; of 2 nobody says anything."""
    matrix = torch.tensor([[0.0, 0.6, 0.2], [0.3, 0.0, 0.1], [0.5, 0.4, 0.0]])
    content = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    diagonal = predicted_diagonal(matrix, precision(content, 1.0))

    assert diagonal.tolist() == pytest.approx([0.3, 0.15, 0.0], abs=1e-6)


@given(items=st.integers(2, 6), entries=st.integers(0, 6), seed=st.integers(0, 99))
def test_solves_the_regression(items: int, entries: int, seed: int) -> None:
    content = torch.randn(items, entries, generator=torch.Generator().manual_seed(seed))
    rows = hollow(items, items, seed=seed)

    coefficients = content.T @ precision(content, RIDGE) @ rows

    assert torch.allclose(coefficients, fitted(content, rows, RIDGE), atol=1e-4)


@given(items=st.integers(2, 6), entries=st.integers(1, 6), seed=st.integers(0, 99))
def test_an_item_left_out_is_as_if_it_had_not_been_there(items: int, entries: int, seed: int) -> None:
    """Fitted again without item j, content says B_jj of j's own place, and misses what `missed` says."""
    content = torch.randn(items, entries, generator=torch.Generator().manual_seed(seed))
    matrix, users = hollow(items, items, seed=seed), torch.ones(1, items)
    of_content = precision(content, RIDGE)
    diagonal = predicted_diagonal(matrix, of_content)
    whole = matrix + torch.diag(diagonal)
    own, errors = [], []
    for item in range(items):  # an item is known by its column of B
        weights = fitted(without(item, content), without(item, whole.T), RIDGE)
        found = content[item] @ weights  # (k,)
        own.append(float(found[item]))
        errors.append(float((found - whole[:, item]).sum()))

    assert diagonal.tolist() == pytest.approx(own, abs=1e-3)
    found_missed = left_out_error(users @ matrix, users, matrix, of_content)
    assert found_missed == pytest.approx(sum(error**2 for error in errors) / items, rel=1e-2, abs=1e-4)


def test_ridge_is_small_where_content_says_much_and_large_where_it_is_noise() -> None:
    """Of two groups, whose items are taken together."""
    group = torch.tensor([1.0, -1.0]).repeat(20).unsqueeze(1)  # (40, 1)
    noise = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    matrix = (group @ group.T).fill_diagonal_(0.0)
    users = torch.eye(40)

    assert choose_ridge(group + 0.1 * noise, matrix, users) <= 1.0
    assert choose_ridge(noise, matrix, users) >= 30.0


def test_without_content_nothing_is_said_with_any_ridge() -> None:
    matrix, nothing = hollow(4, 4, seed=0), torch.zeros(4, 0)

    assert choose_ridge(nothing, matrix, torch.eye(4)) in RIDGES
    assert predicted_diagonal(matrix, precision(nothing, 1.0)).tolist() == [0.0] * 4
