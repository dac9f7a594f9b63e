"""Which entries of a history are hidden from the user tower, to be found."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bundle.preprocess.features.schema import PAD


def choose_targets(
    entries: Tensor,
    which: Literal["latest", "random"],
    fraction: tuple[float, float],
    generator: np.random.Generator,
) -> Tensor:
    """Choose the targets of each history: bool (n, h).

    Every history has at least one target, and at least one entry that is none if it has two.

    Args:
        entries: int64 (n, h), newest first, padded with 0.
        which: the newest entries, or any.
        fraction: smallest and largest share of a history, drawn anew for each.
        generator: of the shares, and of the choice if it is random.
    """
    lengths = (entries != PAD).sum(1, keepdim=True)  # (n, 1)
    share = torch.from_numpy(generator.uniform(*fraction, (len(entries), 1)))
    count = (lengths * share).round().long().clamp(min=1)
    count = torch.minimum(count, (lengths - 1).clamp(min=1))
    if which == "latest":
        place = torch.arange(entries.shape[1]).expand_as(entries)
    else:
        keys = torch.from_numpy(generator.random(tuple(entries.shape)))
        place = keys.masked_fill(entries == PAD, 2.0).argsort(1).argsort(1)  # the entries in random order
    return (place < count) & (entries != PAD)
