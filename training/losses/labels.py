"""Losses of labels. n rows of a batch, d dimensions, k classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses.unit import unit


def cross_entropy(scores: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """mean_i -log softmax(scores_i)[label_i]; scores (n, k), labels int64 (n,)."""
    return F.cross_entropy(scores, labels, label_smoothing=smoothing)


def supervised_contrast(
    vectors: Tensor, labels: Tensor, temperature: float, *, texts: Tensor | None = None
) -> Tensor:
    """mean_i -1/|P(i)| sum_{p in P(i)} log( exp(z_i.z_p / T) / sum_{a != i} exp(z_i.z_a / T) ).

    P(i) are the other rows with the label of row i; rows without any do not count, and z is L2-normalised.
    Rows of the same text are one: neither partners nor negatives of each other.
    Source: Khosla et al. 2020, arXiv 2004.11362, eq. 2, as a mean over the rows instead of their sum.

    Args:
        vectors: (n, d).
        labels: int64 (n,).
        temperature: T.
        texts: int64 (n,), the same number for the same text; None if all differ.
    """
    z = unit(vectors)
    own = torch.eye(len(z), dtype=torch.bool, device=z.device)
    if texts is not None:
        own = own | (texts.unsqueeze(1) == texts.unsqueeze(0))  # (n, n)
    alike = (labels.unsqueeze(1) == labels.unsqueeze(0)) & ~own  # (n, n)
    log_p = (z @ z.T / temperature).masked_fill(own, -1e9).log_softmax(-1)  # (n, n)
    counts = alike.sum(-1)  # (n,)
    rows = -(log_p * alike).sum(-1) / counts.clamp(min=1)
    return rows.sum() / (counts > 0).sum().clamp(min=1)
