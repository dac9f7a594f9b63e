"""iALS: factors of users and items by alternating least squares over all pairs, in torch.

    min sum_{(u,i) taken} (1 - x_u.y_i)^2 + alpha_0 sum_{u,i} (x_u.y_i)^2
        + lambda (sum_u (n_u + alpha_0 k)^nu |x_u|^2 + sum_i (n_i + alpha_0 n)^nu |y_i|^2)

Sources: Hu, Koren and Volinsky 2008 (ICDM); the weighting of unobserved pairs and the scaling of the
regularisation by frequency: Rendle et al. 2021, arXiv 2110.14037, eq. 1 and section 3.
n users, k items, f factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

START_STD = 0.1  # of the scores of random factors, over the root of f for each factor
BLOCK = 256  # systems solved at once: 256 of 128 x 128 are 17 MB


@dataclass(frozen=True)
class IALS:
    """iALS with its settings.

    Attributes:
        factors: f.
        regularisation: lambda.
        unobserved: alpha_0, the weight of a pair that was not taken against one that was.
        scaling: nu; 0 regularises all alike, 1 in proportion to frequency.
        iterations: of both sides.
    """

    factors: int
    regularisation: float
    unobserved: float
    scaling: float = 1.0
    iterations: int = 10

    def fit(self, histories: Sequence[Ints], items: int, seed: int = 0) -> Tensor:
        """The items' factors, float32 (k, f)."""
        generator = torch.Generator().manual_seed(seed)
        y: Tensor = torch.randn(items, self.factors, generator=generator) * (START_STD / self.factors**0.5)
        takers = inverted(histories, items)
        for _ in range(self.iterations):
            x = self.solve(y, histories)
            y = self.solve(x, takers)
        return y

    def solve(self, fixed: Tensor, interactions: Sequence[Ints]) -> Tensor:
        """The other side's factors: (n, f) for the rows of `fixed` (k, f) that each has taken."""
        gram = self.unobserved * (fixed.T @ fixed)  # (f, f)
        solved = torch.zeros(len(interactions), fixed.shape[1])
        for start in range(0, len(interactions), BLOCK):
            rows = [
                fixed[torch.from_numpy(one)] for one in interactions[start : start + BLOCK]
            ]  # each (h, f)
            counts = torch.tensor([float(len(row)) for row in rows])
            strengths = self.regularisation * (counts + self.unobserved * len(fixed)) ** self.scaling
            systems = torch.stack([row.T @ row for row in rows]) + gram  # (b, f, f)
            systems.diagonal(dim1=1, dim2=2).add_(strengths.unsqueeze(1))
            wanted = torch.stack([row.sum(0) for row in rows])  # (b, f)
            factor = torch.linalg.cholesky(systems)
            solved[start : start + BLOCK] = torch.cholesky_solve(wanted.unsqueeze(2), factor).squeeze(2)
        return solved

    def scores(self, y: Tensor, histories: Sequence[Ints]) -> Floats:
        """Score all items for new users, folded in: float32 (n, k)."""
        return np.asarray((self.solve(y, histories) @ y.T).numpy(), dtype=np.float32)


def inverted(histories: Sequence[Ints], items: int) -> list[Ints]:
    """List the users of each item."""
    users = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
    interactions = np.concatenate([np.zeros(0, dtype=np.int64), *histories])
    order = np.argsort(interactions, kind="stable")
    return np.split(users[order], np.cumsum(np.bincount(interactions, minlength=items))[:-1])
