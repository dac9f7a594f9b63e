"""The loss of a text that is reconstructed from its vector. n texts, t tokens, v entries of a vocabulary."""

from __future__ import annotations

from torch import Tensor


def reconstruction(scores: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real tokens of -log softmax(scores_it)[id_it].

    Source: TSDAE, Wang et al. 2021, arXiv 2104.06979, eq. 1.

    Args:
        scores: (n, t, v), of a decoder that has seen the vector and the tokens before t.
        ids: int64 (n, t), the whole text.
        mask: (n, t), 1 for real tokens.
    """
    log_p = scores.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)  # (n, t)
    real = mask.to(log_p.dtype)
    return -(log_p * real).sum() / real.sum().clamp(min=1.0)
