"""A training step that scores a sample of the items, so that its cost does not grow with their number.

    in-batch positives + uniform draws -> item vectors of these alone -> scores, accidental hits masked

n users, c columns of the sample, h entries of a history, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle.preprocess.features.schema import FIRST, PAD
from training.recommender.encoders.towers import TwoTowers


@dataclass(frozen=True)
class Sample:
    """Items to score, the positive of row i in column i.

    Attributes:
        columns: int64 (c,), positions among the known items.
        log_expected: (c,), log of how often each of them is expected among the negatives of a user who does
            not have it.
    """

    columns: Tensor
    log_expected: Tensor


class Sampler:
    """Draws the other users' positives, and items with equal chances.

    Args:
        shares: (k,), how likely each item is the positive of a user drawn at random (`positive_shares`).
        users: how many there are to draw from.
        uniform: how many items are drawn with equal chances.
    """

    def __init__(self, shares: npt.NDArray[np.float64], users: int, uniform: int) -> None:
        self._shares, self._users, self._uniform = torch.from_numpy(shares), users, uniform

    def draw(self, positives: Tensor, generator: np.random.Generator) -> Sample:
        """The sample of a step: the positives (n,) and the uniform draws.

        Of an item that is not in a user's own history, one of the n - 1 others' positives is it by
        users / (users - 1) of its share: a step draws its users without replacement.
        """
        items, others = len(self._shares), len(positives) - 1
        drawn = torch.from_numpy(generator.integers(0, items, self._uniform))
        columns = torch.cat([positives, drawn])
        of_others = others * self._shares[columns] * (self._users / max(1, self._users - 1))
        expected = of_others + self._uniform / items
        return Sample(columns, expected.clamp(min=1e-12).log().float())


def short_table(towers: TwoTowers, known: Sequence[Tensor], entries: Tensor) -> tuple[Tensor, Tensor]:
    """The input vectors of the items in these histories alone, (1 + u, d), and entries (n, h) pointing to it.

    Row 0 stays the padding.
    """
    places = torch.cat([entries.new_tensor([PAD]), entries.flatten()])
    used, short = torch.unique(places, return_inverse=True)
    inputs = towers.item_inputs(*(array[used[1:] - FIRST] for array in known))  # (u, d)
    table = torch.cat([inputs.new_zeros(1, inputs.shape[1]), inputs])
    return table, short[1:].reshape(entries.shape)


def scores_of(users: Tensor, vectors: Tensor, columns: Tensor, entries: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of the positives (n,), and of the sample (n, c), -inf where the user has the item.

    Args:
        users: (n, d).
        vectors: (c, d), of the sample.
        columns: int64 (c,), positions among the known items; those of the positives first.
        entries: int64 (n, h), whole histories, targets or shown.
    """
    scores = users @ vectors.T  # (n, c)
    positive = scores[:, : len(users)].diagonal()
    return positive, scores.masked_fill(in_history(columns, entries), -torch.inf)


def in_history(columns: Tensor, entries: Tensor) -> Tensor:
    """Mark the columns (c,) that are in each history (n, h): bool (n, c). Both as in `scores_of`."""
    distinct, column_of = torch.unique(columns, return_inverse=True)  # sorted, (u,)
    items = entries - FIRST
    place = torch.searchsorted(distinct, items).clamp(max=len(distinct) - 1)  # (n, h)
    holds = torch.zeros(len(entries), len(distinct))
    holds.scatter_add_(1, place, (distinct[place] == items).float())
    return (holds > 0)[:, column_of]
