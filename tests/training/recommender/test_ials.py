"""iALS solves what its formula says, and finds groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.recommender.ials import IALS, inverted

HISTORIES = [np.array(one, dtype=np.int64) for one in ([0, 1], [0, 1, 2], [3], [2, 3])]
ITEMS = 5  # nobody took the last


def objective(x: torch.Tensor, y: torch.Tensor, model: IALS) -> torch.Tensor:
    """The formula of the module, term by term."""
    scores = x @ y.T
    taken = torch.zeros(len(HISTORIES), ITEMS, dtype=x.dtype)
    for row, items in zip(taken, HISTORIES, strict=True):
        row[torch.from_numpy(items)] = 1.0
    users = (taken.sum(1) + model.unobserved * ITEMS) ** model.scaling
    return (
        (taken * (1 - scores) ** 2).sum()
        + model.unobserved * (scores**2).sum()
        + model.regularisation * (users * (x**2).sum(1)).sum()
    )


@pytest.mark.parametrize("scaling", [0.0, 1.0])
def test_a_solved_side_has_no_gradient_left(scaling: float) -> None:
    model = IALS(3, regularisation=0.1, unobserved=0.2, scaling=scaling)
    y = torch.randn(ITEMS, 3)
    x = model.solve(y, HISTORIES).requires_grad_()

    (gradient,) = torch.autograd.grad(objective(x, y, model), x)

    assert gradient.abs().max() < 1e-4


def test_takers_are_the_histories_the_other_way_round() -> None:
    assert [users.tolist() for users in inverted(HISTORIES, ITEMS)] == [[0, 1], [0, 1], [1, 3], [2, 3], []]


def test_items_of_a_group_score_above_the_others() -> None:
    histories = [np.array(one) for one in ([0, 1, 2], [0, 1], [1, 2], [3, 4, 5], [3, 5], [4, 5])]
    model = IALS(2, regularisation=0.01, unobserved=0.1)

    scores = model.scores(model.fit(histories, 6), [np.array([0]), np.array([5])])

    assert scores[0, [1, 2]].min() > scores[0, [3, 4, 5]].max()
    assert scores[1, [3, 4]].min() > scores[1, [0, 1, 2]].max()
