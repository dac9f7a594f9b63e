"""Losses of texts that belong together, against others that do not. n rows of a batch, d dimensions."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from training.losses.unit import cosine, unit

Distance: TypeAlias = Literal["cosine", "euclidean"]


def infonce(
    queries: Tensor,
    keys: Tensor,
    temperature: float,
    *,
    symmetric: bool = False,
    negatives: Tensor | None = None,
    alike: Tensor | None = None,
) -> Tensor:
    """mean_i -log( exp(q_i.k_i / T) / sum_j exp(q_i.k_j / T) ) over L2-normalised rows.

    Row i of `keys` is the positive of row i of `queries`; the other rows are its negatives, and so are all
    rows of `negatives`, whichever row they were found for.
    `symmetric` averages with the same in the other direction, in which only the queries are candidates.
    Source: van den Oord et al. 2018, arXiv 1807.03748, eq. 4; multiple negatives: Henderson et al. 2017,
    arXiv 1705.00652; hard ones as further columns: Karpukhin et al. 2020 (DPR), arXiv 2004.04906.

    Args:
        queries: (n, d).
        keys: (n, d).
        temperature: T.
        symmetric: ask in both directions.
        negatives: (m, d), hard negatives.
        alike: bool (n, n + m), what is no negative of a row, such as another copy of its positive; never its
            own key. For `symmetric`, it holds in both directions.
    """
    q, k = unit(queries), unit(keys)
    columns = k if negatives is None else torch.cat([k, unit(negatives)])  # (n + m, d)
    scores = q @ columns.T / temperature  # (n, n + m)
    if alike is not None:
        scores = scores.masked_fill(alike, -torch.inf)
    positives = torch.arange(len(q), device=q.device)
    loss = F.cross_entropy(scores, positives)
    return (loss + F.cross_entropy(scores[:, : len(q)].T, positives)) / 2 if symmetric else loss


def triplet(
    anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float, *, distance: Distance = "cosine"
) -> Tensor:
    """mean_i max(0, D(a_i, p_i) - D(a_i, n_i) + margin), D = 1 - cos or |a - b|.

    Source: Schroff et al. 2015 (FaceNet), arXiv 1503.03832, eq. 3, without the square.

    Args:
        anchors: (n, d).
        positives: (n, d).
        negatives: (n, d).
        margin: how much nearer the positive must be; 0 to 2 for cosine.
        distance: D.
    """
    if distance == "cosine":
        gap = cosine(anchors, negatives) - cosine(anchors, positives)
    else:
        gap = F.pairwise_distance(anchors, positives) - F.pairwise_distance(anchors, negatives)
    return F.relu(gap + margin).mean()
