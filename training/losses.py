"""Losses, as functions of vectors. Each gives its formula and its source.

n rows of a batch, d dimensions, k items or classes. All return a scalar: the mean over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """mean_i (1 - cos(s_i, t_i)); student and teacher (n, d)."""
    return (1.0 - F.cosine_similarity(student, teacher, dim=-1)).mean()


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """mean_ij (s_ij - t_ij)^2; student and teacher (n, d).

    Source: Reimers and Gurevych 2020, arXiv 2004.09813, eq. 1.
    """
    return F.mse_loss(student, teacher)


def infonce(queries: Tensor, keys: Tensor, temperature: float, *, symmetric: bool = False) -> Tensor:
    """mean_i -log( exp(q_i.k_i / T) / sum_j exp(q_i.k_j / T) ) over L2-normalised rows.

    Row i of `keys` is the positive of row i of `queries`; the other rows are its negatives.
    `symmetric` averages with the same in the other direction.
    Source: van den Oord et al. 2018, arXiv 1807.03748, eq. 4; multiple negatives: Henderson et al. 2017.

    Args:
        queries: (n, d).
        keys: (n, d).
        temperature: T.
        symmetric: ask in both directions.
    """
    scores = F.normalize(queries, dim=-1) @ F.normalize(keys, dim=-1).T / temperature  # (n, n)
    positives = torch.arange(len(scores), device=scores.device)
    loss = F.cross_entropy(scores, positives)
    return (loss + F.cross_entropy(scores.T, positives)) / 2 if symmetric else loss


def similarity_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """mean_i KL( softmax_j(t_i.t_j / T) || softmax_j(s_i.s_j / T) ), j over the batch without i.

    Asks for the teacher's neighbourhoods instead of its coordinates.
    Source: similarity-preserving distillation, Tung and Mori 2019, arXiv 1907.09682, with softmax rows as
    in Fang et al. 2021 (SEED), arXiv 2101.04731, eq. 5.

    Args:
        student: (n, d).
        teacher: (n, d'), any other length.
        temperature: T.
    """
    own = torch.eye(len(student), dtype=torch.bool, device=student.device)
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    log_p = (s @ s.T / temperature).masked_fill(own, -1e9).log_softmax(-1)  # (n, n)
    log_q = (t @ t.T / temperature).masked_fill(own, -1e9).log_softmax(-1)  # (n, n)
    return F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)


def cross_entropy(scores: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """mean_i -log softmax(scores_i)[label_i]; scores (n, k), labels int64 (n,)."""
    return F.cross_entropy(scores, labels, label_smoothing=smoothing)


def full_softmax(scores: Tensor, targets: Tensor) -> Tensor:
    """mean_i -sum_j (y_ij / sum_j y_ij) log softmax(scores_i)_j: the multinomial likelihood.

    Rows without a target do not count.
    Source: Liang et al. 2018 (Mult-DAE), arXiv 1802.05814, eq. 2, per-row normalised.

    Args:
        scores: (n, k), one column per item; -inf for items that are not asked.
        targets: (n, k), 0 or a positive weight.
    """
    mass = targets.sum(-1, keepdim=True)  # (n, 1)
    share = targets / mass.clamp(min=1e-9)
    log_p = scores.log_softmax(-1).masked_fill(targets == 0, 0.0)  # 0 * -inf must be 0
    rows = -(share * log_p).sum(-1)  # (n,)
    counted = (mass.squeeze(-1) > 0).to(rows.dtype)
    return (rows * counted).sum() / counted.sum().clamp(min=1.0)


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
