"""The seam between a recommender's task and its loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from bundle.preprocess.features.schema import PAD
from training.config.sections import Section
from training.recommender.encoders.towers import TwoTowers


@dataclass(frozen=True)
class Step:
    """A batch of users, as a loss sees it. n users, h entries of a history, k known items.

    Attributes:
        towers: what is trained.
        known: the known items' arrays, in the order of the vocabulary.
        arrays: the users' arrays, with whole histories.
        history: which of these arrays holds the histories, int64 (n, h), padded with 0.
        targets: which entries are hidden from the user tower and are to be found, bool (n, h); every user has
            one at least.
        shares: (k,), how likely each item is the positive of a user drawn at random; sums to 1.
        users: how many there are to draw from.
        generator: of everything random about the step.
    """

    towers: TwoTowers
    known: Sequence[Tensor]
    arrays: Sequence[Tensor]
    history: int
    targets: Tensor
    shares: npt.NDArray[np.float64]
    users: int
    generator: np.random.Generator

    @property
    def entries(self) -> Tensor:
        """Whole histories, int64 (n, h)."""
        return self.arrays[self.history]

    @property
    def shown(self) -> Tensor:
        """Histories without the targets, int64 (n, h)."""
        return self.entries.masked_fill(self.targets, PAD)

    def user_vectors(self, table: Tensor, arrays: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Encode users by what they are shown of their histories. (n, d)."""
        arrays = [*arrays[: self.history], shown, *arrays[self.history + 1 :]]
        vectors: Tensor = self.towers.user_tower(table, *arrays)
        return vectors


class ItemLoss(Section):
    """One loss of a recommender: its table in [loss], and how a batch is scored."""

    @abstractmethod
    def value(self, step: Step) -> Tensor:
        """The loss of a batch."""

    def check_size(self, items: int) -> None:
        """Refuse a number of items that would not end. Raises ConfigError."""

    def check_batch(self, users: int) -> None:
        """Refuse a batch that nothing can be learned from. Raises ConfigError."""
