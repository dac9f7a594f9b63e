"""Losses of pairs with similarity scores. n pairs, d dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.unit import cosine


def cosent(first: Tensor, second: Tensor, scores: Tensor, scale: float) -> Tensor:
    """log( 1 + sum_{i, j: g_i > g_j} exp(scale * (cos_j - cos_i)) ), cos_i of the two rows i.

    Only the order of the scores counts, as it does for Spearman's correlation; equal ones do not.
    Source: Su 2022, "CoSENT", kexue.fm/archives/8847.

    Args:
        first: (n, d).
        second: (n, d).
        scores: (n,), on any scale.
        scale: sharpness; 20 in the source.
    """
    cosines = cosine(first, second) * scale  # (n,)
    gaps = cosines.unsqueeze(0) - cosines.unsqueeze(1)  # (n, n): row i, column j
    ordered = scores.unsqueeze(1) > scores.unsqueeze(0)
    return torch.cat([gaps.new_zeros(1), gaps[ordered]]).logsumexp(0)  # the 0 is the 1 of the formula
