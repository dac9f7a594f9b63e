"""The loss that scores all items in every step."""

from __future__ import annotations

import torch
from torch import Tensor

from bundle.preprocess.features.schema import FIRST
from training.errors import ConfigError
from training.recommender.losses import full_softmax
from training.recommender.objectives.base import ItemLoss, Step

MOST_ITEMS = 50_000


class FullSoftmaxLoss(ItemLoss):
    """All items that the user is not shown, the targets against the others; up to some 50,000 items."""

    def value(self, step: Step) -> Tensor:
        table = step.towers.history_table(*step.known)
        users = step.user_vectors(table, step.arrays, step.shown)  # (n, d)
        scores = users @ step.towers.item_vectors(*step.known).T  # (n, k)
        shown = multi_hot(step.shown, scores.shape[1])
        wanted = multi_hot(step.entries.masked_fill(~step.targets, 0), scores.shape[1])
        return full_softmax(scores.masked_fill(shown > 0, -torch.inf), wanted)

    def check_size(self, items: int) -> None:
        if items > MOST_ITEMS:
            raise ConfigError(
                f"[loss.full_softmax], the default, scores all items in every step; {items:,} are more than "
                f"{MOST_ITEMS:,}, so use [loss.sampled_softmax]"
            )


def multi_hot(entries: Tensor, items: int) -> Tensor:
    """int64 (n, h), padded with 0 -> (n, items) of 0 and 1."""
    hot = torch.zeros(len(entries), FIRST + items)
    return hot.scatter_(1, entries, 1.0)[:, FIRST:]
