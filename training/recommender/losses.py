"""Losses of users against all items, or against a sample. n users, k items, m of them sampled."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def full_softmax(scores: Tensor, targets: Tensor) -> Tensor:
    """mean_i -sum_j (y_ij / sum_j y_ij) log softmax(scores_i)_j: the multinomial likelihood.

    Rows without a target do not count.
    Source: Liang et al. 2018 (Mult-DAE), arXiv 1802.05814, eq. 2, per-row normalised.

    Args:
        scores: (n, k), one column per item; -inf for items that do not count.
        targets: (n, k), 0 or a positive weight.

    Raises:
        ValueError: no row has a target, so that there is nothing to learn.
    """
    mass = targets.sum(-1, keepdim=True)  # (n, 1)
    share = targets / mass.clamp(min=1e-9)
    log_p = scores.log_softmax(-1).masked_fill(targets == 0, 0.0)  # 0 * -inf must be 0
    rows = -(share * log_p).sum(-1)  # (n,)
    counted = mass.squeeze(-1) > 0
    if not counted.any():
        raise ValueError(f"none of {len(scores)} users has a target")
    return rows[counted].mean()


def sampled_softmax(
    positive: Tensor, sampled: Tensor, log_expected: Tensor, *, log_expected_positive: Tensor | None = None
) -> Tensor:
    """mean_i -log( exp(p_i) / (exp(p_i) + sum_j exp(s_ij - log E_j)) ), E_j how often j is in a sample.

    The sum is then an unbiased estimate of the one over all items, so the loss that of the full softmax. The
    positive is there by rule and not by chance, so it is not corrected: its gradient is then
    -(1 - P_i), as the full softmax has it. `log_expected_positive` corrects it all the same (p_i - log E_i),
    as the method was first published, which pushes popular items down.

    Sources: Bengio and Senecal 2008; logQ for in-batch negatives, Yi et al. 2019, RecSys, eq. 5; the
    positive left uncorrected: arXiv 2507.09331 (RecSys 2025); in-batch and uniform negatives together: Yang
    et al. 2020, WWW.

    Args:
        positive: (n,), each user's score of the item it took.
        sampled: (n, m), scores of the sample; -inf for items that the user took (accidental hits).
        log_expected: (m,), log E_j.
        log_expected_positive: (n,), log E of the positives, for the correction of 2019.

    Raises:
        ValueError: there are no rows.
    """
    _check(positive)
    own = positive if log_expected_positive is None else positive - log_expected_positive
    scores = torch.cat([own.unsqueeze(1), sampled - log_expected], dim=1)  # (n, 1 + m)
    return -scores.log_softmax(1)[:, 0].mean()


def bpr(positive: Tensor, sampled: Tensor) -> Tensor:
    """Mean over pairs of -log sigmoid(p_i - s_ij); pairs with s_ij = -inf do not count.

    Source: Rendle et al. 2009 (BPR), arXiv 1205.2618, eq. for BPR-Opt, without its regularisation.

    Args:
        positive: (n,).
        sampled: (n, m).

    Raises:
        ValueError: there are no rows.
    """
    _check(positive)
    is_counted = sampled > -torch.inf  # -inf - -inf would be NaN, in the gradient as well
    gaps = positive.unsqueeze(1) - sampled.masked_fill(~is_counted, 0.0)  # (n, m)
    losses = -F.logsigmoid(gaps) * is_counted
    return losses.sum() / is_counted.sum().clamp(min=1)


def _check(positive: Tensor) -> None:
    if not len(positive):
        raise ValueError("there are no users to learn from")
