"""Which texts of a batch belong together besides row by row, because the same text stands in several rows.

In-batch negatives are other rows' texts. A copy of the positive, or another partner of the same text, is no
negative: of pairs of questions and answers 5 % of rows have one, of the worst batch half.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.holdout import Keys

Bools = npt.NDArray[np.bool_]


def partners(first: Keys, second: Keys, candidates: Keys) -> Bools:
    """Mark the candidates that a row with the same first text has as its second: (n, m).

    Args:
        first: keys of the first texts (n,).
        second: keys of their partners (n,).
        candidates: keys of texts (m,).
    """
    same = second[:, None] == candidates[None, :]  # (n, m)
    _, group = np.unique(first, return_inverse=True)
    if group.max() + 1 == len(first):
        return np.asarray(same)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    return np.asarray(np.logical_or.reduceat(same[order], starts, axis=0)[group])


def own_texts(first: Keys, candidates: Keys) -> Bools:
    """Mark the candidates that are the row's own first text: (n, m)."""
    return np.asarray(first[:, None] == candidates[None, :])


def alike(first: Keys, second: Keys, negatives: Keys | None = None) -> Tensor | None:
    """Mark what is no negative of a row: bool (n, n + m), for `losses.infonce`; None where all differ.

    Args:
        first: keys of the first texts (n,).
        second: keys of their partners, the first n candidates (n,).
        negatives: keys of further candidates (m,).
    """
    candidates = second if negatives is None else np.concatenate([second, negatives])
    marked = partners(first, second, candidates) | own_texts(first, candidates)
    marked[np.arange(len(first)), np.arange(len(first))] = False  # the positive itself
    return torch.from_numpy(marked) if marked.any() else None
