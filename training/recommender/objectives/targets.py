"""Which entries of a history are hidden from the user tower, to be found, and how likely each item is one.

n users, h entries of a history, k items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle.preprocess.features.schema import PAD

Which: TypeAlias = Literal["latest", "random"]
Floats = npt.NDArray[np.float64]


def choose_targets(
    entries: Tensor,
    which: Which,
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


def one_target(targets: Tensor, generator: np.random.Generator) -> Tensor:
    """Choose one of the True places of each row, which has at least one: targets (n, h) -> int64 (n,)."""
    keys = torch.from_numpy(generator.random(tuple(targets.shape)))
    return keys.masked_fill(~targets, -1.0).argmax(1)


def positive_shares(
    histories: Sequence[npt.NDArray[np.int64]], items: int, which: Which, fraction: tuple[float, float]
) -> Floats:
    """How likely each item is what `one_target` takes of a user drawn at random: (k,), sums to 1.

    Exact, over what `choose_targets` draws: of a long history each entry is less likely than of a short one,
    and if the latest are the targets, the oldest never are. Counts of interactions say neither.

    Args:
        histories: positions among the items, newest first; those without an entry do not count, one at least
            has one.
        items: k.
        which: as of `choose_targets`.
        fraction: likewise.
    """
    taken = [history for history in histories if len(history)]
    of_length = {
        length: place_probabilities(length, which, fraction) for length in sorted({*map(len, taken)})
    }
    weights = np.concatenate([of_length[len(history)] for history in taken])
    counts = np.bincount(np.concatenate(taken), weights, minlength=items)
    return np.asarray(counts / len(taken), dtype=np.float64)


def place_probabilities(length: int, which: Which, fraction: tuple[float, float]) -> Floats:
    """How likely each place of a history, newest first, is the one target of a step: (length,), sums to 1."""
    if which == "random" or length == 1:
        return np.full(length, 1.0 / length)
    of_counts = count_probabilities(length, fraction)
    each = of_counts / np.arange(1, length)  # with c targets, each of the newest c is taken once in c times
    return np.append(np.cumsum(each[::-1])[::-1], 0.0)


def count_probabilities(length: int, fraction: tuple[float, float]) -> Floats:
    """How likely a history of 2 or more entries has 1, 2, .. length - 1 targets: (length - 1,), sums to 1."""
    low, high = (length * share for share in fraction)
    counts = np.arange(1, length)
    if low == high:
        return np.asarray(counts == min(max(round(low), 1), length - 1), dtype=np.float64)
    at_most = ((counts + 0.5 - low) / (high - low)).clip(0.0, 1.0)  # a uniform draw, rounded
    at_most[-1] = 1.0
    return np.asarray(np.diff(at_most, prepend=0.0), dtype=np.float64)
