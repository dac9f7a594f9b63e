"""A loss against vectors that stay as they are: those of captions, by a published text encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.unit import unit


def locked_contrast(
    vectors: Tensor,
    captions: Tensor,
    positives: Tensor,
    temperature: float,
    *,
    alike: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """mean_i -log( exp(v_i.c_p(i) / T) / sum_j exp(v_i.c_j / T) ) over all captions, none left out.

    The captions are a classifier's weights that nothing trains, so every one of them is a candidate at every
    step, and no batch is too small. Source: Zhai et al. 2022 (LiT), arXiv 2111.07991, with all texts in place
    of a batch's.

    Args:
        vectors: (n, d), of pictures or sounds.
        captions: (m, d), rows of norm 1.
        positives: int64 (n,), the row of each one's caption.
        temperature: T.
        alike: bool (n, m), other captions of the same thing: no negatives. Never a row's own.
        smoothing: share of the probability that is spread over all captions but those.
    """
    scores = unit(vectors) @ captions.T / temperature  # (n, m)
    others = torch.zeros_like(scores, dtype=torch.bool) if alike is None else alike
    log_p = scores.masked_fill(others, -torch.inf).log_softmax(1)
    hard = -log_p.gather(1, positives.unsqueeze(1)).mean()
    if not smoothing:
        return hard
    soft = -(log_p.masked_fill(others, 0.0).sum(1) / (~others).sum(1)).mean()
    return (1 - smoothing) * hard + smoothing * soft
