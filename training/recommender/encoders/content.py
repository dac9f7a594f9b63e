"""What the items' content says of a matrix over items: ridge regression, measured by leaving each item out.

With P = (X X' + ridge I)^-1 of the content X (k, c), the coefficients are X' P Y, and what the regression
says of item j when j is left out of it misses Y_j by (P Y)_j / P_jj, without fitting anything again (Allen
1974, PRESS; EASE's closed form is the same identity). So items never seen, which are what content is for,
can be looked at beforehand.

k items, c entries of content, n users.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
MOST_USERS = 1_000  # that a ridge is chosen by
MOST_ITEMS = 4_000  # likewise: the best ridge tells noise from signal, and hardly depends on their number


@dataclass(frozen=True)
class ContentSettings:
    """How far content is believed.

    Attributes:
        ridge: regularisation of the regression on it.
        own: what having an item says of items with its very content, beside the structure.
    """

    ridge: float
    own: float = 0.0


def choose_ridge(content: Tensor, matrix: Tensor, users: Tensor) -> float:
    """The ridge with which content misses least of what users' histories say of items left out.

    Args:
        content: X (k, c).
        matrix: B (k, k), 0 on its diagonal.
        users: who took what (n, k) of 0 and 1.
    """
    if not content.shape[1]:
        return RIDGES[0]  # there is no content
    some = torch.randperm(len(content), generator=torch.Generator().manual_seed(0))[:MOST_ITEMS]
    users = users[:MOST_USERS]
    scores, interactions = users @ matrix[:, some], users[:, some]
    among, rows = matrix[some][:, some], content[some]
    return min(RIDGES, key=lambda ridge: left_out_error(scores, interactions, among, precision(rows, ridge)))


def precision(content: Tensor, ridge: float) -> Tensor:
    """P = (X X' + ridge I)^-1 (k, k) of content X (k, c), inverted in float64."""
    gram = (content @ content.T).double()
    gram.diagonal().add_(ridge)
    return torch.cholesky_inverse(torch.linalg.cholesky(gram)).to(content.dtype)


def predicted_diagonal(matrix: Tensor, of_content: Tensor) -> Tensor:
    """Predict each item's own place in an item-item matrix from the other items' content, (k,).

    EASE forbids itself a diagonal, and a ranking leaves out the history, so anything may stand there. But
    an item never seen is known by items of like content, and from zeros these would learn that having an
    item says nothing of those like it.

    Args:
        matrix: B (k, k), 0 on its diagonal.
        of_content: P (k, k).
    """
    return -(matrix * of_content).sum(1) / of_content.diagonal()


def left_out_error(scores: Tensor, interactions: Tensor, matrix: Tensor, of_content: Tensor) -> float:
    """Mean square of what content misses of users' scores, each item left out in its turn.

    Args:
        scores: by the matrix, diagonal 0: (n, k).
        interactions: who took what, for what the diagonal adds: (n, k).
        matrix: B (k, k), 0 on its diagonal.
        of_content: P (k, k).
    """
    whole = scores + interactions * predicted_diagonal(matrix, of_content)
    return float((whole @ of_content / of_content.diagonal()).square().mean())
