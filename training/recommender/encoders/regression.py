"""What users' features say of the items they take: multinomial logistic regression with a ridge.

    log p(item j | user i) = log popularity_j + f_i U c_j + constant

Users' features f (c,) are known, and so is a basis C (k, rank) of what users' vectors can say of items: what
is found is U (c, rank). Popularity is a fixed offset, so a feature that says nothing finds 0. The loss is
convex, and with columns of C that are orthogonal and of mean square 1 L-BFGS needs few steps.

Source: McCullagh and Nelder 1989, Generalized Linear Models, chapter 5; with an offset.

n users, k items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RIDGES = (1e3, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)  # strong to weak
STEPS = 15  # of L-BFGS
HELD_OUT = 5  # one user in so many chooses the ridges
MOST_SCORES = 1 << 23  # of a step: as many kinds of users are learned from as that is


@dataclass(frozen=True)
class Taken:
    """Users and what they took.

    Attributes:
        designs: of each feature, float32 (n, c of its own).
        items: who took what, float32 (n, k) of 0 and 1.
    """

    designs: Sequence[Tensor]
    items: Tensor

    def at(self, users: Tensor) -> Taken:
        """Choose users, by True for each that is wanted."""
        return Taken([design[users] for design in self.designs], self.items[users])

    def only(self, feature: int) -> Taken:
        """Keep one feature."""
        return Taken([self.designs[feature]], self.items)


def choose_ridges(taken: Taken, basis: Tensor) -> list[float]:
    """The ridge of each feature by which it says most of what users took who were left out.

    Each is looked at by itself. It is infinite where the feature says nothing: where the users' mean gain of
    log-likelihood is not above its standard error.

    Args:
        taken: users to learn from.
        basis: C (k, rank).
    """
    is_held_out = torch.arange(len(taken.items)) % HELD_OUT == 0
    learned, held_out = taken.at(~is_held_out), taken.at(is_held_out)
    return [
        _choose_ridge(learned.only(feature), held_out.only(feature), basis)
        for feature in range(len(taken.designs))
    ]


def _choose_ridge(learned: Taken, held_out: Taken, basis: Tensor) -> float:
    offset = log_popularity(learned.items)
    ridge, most, found = math.inf, 0.0, None
    for tried in RIDGES:
        found = fit(learned, basis, [tried], start=found)
        gains = log_likelihood(held_out, found, basis, offset)
        mean, error = float(gains.mean()), float(gains.std()) / math.sqrt(max(1, len(gains)))
        if mean <= most:
            break
        most = mean
        if mean > error:
            ridge = tried
    return ridge


def fit(
    taken: Taken, basis: Tensor, ridges: Sequence[float], *, start: Sequence[Tensor] | None = None
) -> list[Tensor]:
    """U of each feature, (c of its own, rank); 0 where its ridge is infinite.

    Args:
        taken: users to learn from.
        basis: C (k, rank).
        ridges: one per feature; what its squares weigh against the log-likelihood of the items taken.
        start: U to start from, by default 0.
    """
    offset = log_popularity(taken.items)
    design, items = _learned_from(taken, [math.isfinite(ridge) for ridge in ridges])
    total = items.sum().clamp(min=1.0)
    penalty = torch.cat(
        [torch.full((one.shape[1], 1), r) for one, r in zip(taken.designs, ridges, strict=True)]
    )
    is_free = penalty.isfinite()
    weights = torch.zeros(len(penalty), basis.shape[1]) if start is None else torch.cat(list(start))
    weights.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=STEPS,
        tolerance_grad=0.0,  # or a start near by would not be left
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        free = weights.where(is_free, 0.0)
        scores = offset + torch.linalg.multi_dot([design, free, basis.T])  # (n, k), in the cheaper order
        value = (free.square() * penalty.where(is_free, 0.0)).sum() - (items * scores.log_softmax(1)).sum()
        mean: Tensor = value / total
        torch.autograd.backward(mean)
        return mean

    if is_free.any():
        optimizer.step(loss)  # type: ignore[no-untyped-call]  # torch's own
    found = weights.detach().where(is_free, 0.0)
    return list(found.split_with_sizes([one.shape[1] for one in taken.designs]))


def log_likelihood(taken: Taken, weights: Sequence[Tensor], basis: Tensor, offset: Tensor) -> Tensor:
    """How much likelier the features make each user's items than popularity alone does, (n,), in nats."""
    scores = offset + torch.linalg.multi_dot(
        [torch.cat(list(taken.designs), 1), torch.cat(list(weights)), basis.T]
    )
    gains: Tensor = taken.items * (scores.log_softmax(1) - offset.log_softmax(0))
    return gains.sum(1)


def log_popularity(items: Tensor) -> Tensor:
    """The logarithm of each item's share, one user added to each: (k,)."""
    counts = items.sum(0) + 1.0
    shares: Tensor = counts / counts.sum()
    return shares.log()


def _learned_from(taken: Taken, is_free: Sequence[bool]) -> tuple[Tensor, Tensor]:
    """Users with all their features and, if several are free, with each of these alone: (n, c), (n, k)."""
    free = [feature for feature, is_one in enumerate(is_free) if is_one]
    views = [range(len(is_free)), *([[feature] for feature in free] if len(free) > 1 else [])]
    rows = [
        _kinds_of_users(
            [one if at in view else torch.zeros_like(one) for at, one in enumerate(taken.designs)],
            taken.items,
            MOST_SCORES // len(views),
        )
        for view in views
    ]
    return torch.cat([design for design, _ in rows]), torch.cat([items for _, items in rows])


def _kinds_of_users(designs: Sequence[Tensor], items: Tensor, most_scores: int) -> tuple[Tensor, Tensor]:
    """Users with equal features are one row, of all that they took: (n, c), (n, k)."""
    design = torch.cat(list(designs), 1)
    generator = torch.Generator().manual_seed(0)
    key = design.double() @ torch.rand(design.shape[1], dtype=torch.float64, generator=generator)
    _, kind = torch.unique(key, return_inverse=True)
    kinds = int(kind.max()) + 1
    of_kind = torch.zeros(kinds, items.shape[1]).index_add_(0, kind, items)
    rows = torch.zeros(kinds, design.shape[1]).index_copy_(0, kind, design)
    some = torch.randperm(kinds, generator=generator)[: max(1, most_scores // items.shape[1])]
    return rows[some], of_kind[some]
