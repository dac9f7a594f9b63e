"""Any loss at several lengths of the vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def mean_over(dimensions: Sequence[int], terms: Callable[[int], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Each term's mean over vectors cut to the given lengths.

    Source: Matryoshka representation learning, Kusupati et al. 2022, arXiv 2205.13147, eq. 1, with equal
    weights.

    Args:
        dimensions: lengths.
        terms: length to named scalars.
    """
    each = [terms(dimension) for dimension in dimensions]
    return {name: torch.stack([one[name] for one in each]).mean() for name in each[0]}
