"""What a student owes its teacher. n rows of a batch, d dimensions."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses.unit import cosine, unit

Sides: TypeAlias = tuple[Tensor, Tensor]


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """mean_i (1 - cos(s_i, t_i)); student and teacher (n, d)."""
    return (1.0 - cosine(student, teacher)).mean()


def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """mean_ij (s_ij - t_ij)^2; student and teacher (n, d).

    Source: Reimers and Gurevych 2020, arXiv 2004.09813, eq. 1.
    """
    return F.mse_loss(student, teacher)


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
    s, t = unit(student), unit(teacher)
    log_p = (s @ s.T / temperature).masked_fill(own, -1e9).log_softmax(-1)  # (n, n)
    log_q = (t @ t.T / temperature).masked_fill(own, -1e9).log_softmax(-1)  # (n, n)
    return F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)


def cross_similarity_kl(student: Sides, teacher: Sides, temperature: float) -> Tensor:
    """mean_i KL( softmax_j(ta_i.tb_j / T) || softmax_j(sa_i.sb_j / T) ), and the same from b to a, halved.

    As `similarity_kl`, between two kinds of text, as questions and answers: what lies near across them.

    Args:
        student: a (n, d) and b (n, d).
        teacher: a (n, d') and b (n, d').
        temperature: T.
    """
    return cross_similarity_rows(student, teacher, temperature).mean()


def cross_similarity_rows(student: Sides, teacher: Sides, temperature: float) -> Tensor:
    """What each pair contributes to `cross_similarity_kl`, whose mean it is: (n,)."""
    s, t = (unit(a) @ unit(b).T / temperature for a, b in (student, teacher))  # (n, n)
    rows, columns = (
        F.kl_div(x.log_softmax(-1), y.log_softmax(-1), reduction="none", log_target=True).sum(-1)
        for x, y in ((s, t), (s.T, t.T))
    )
    return (rows + columns) / 2
