"""How well scores rank what a user took next. Pure numpy, over all items, never a sample of them.

Sampled metrics can order models the wrong way round: Krichene and Rendle, KDD 2020.
n users, k items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from training.metrics import MetricValue

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

RECALL_AT = (20, 50)
NDCG_AT = 100
BLOCK_SCORES = 1 << 25  # 128 MB, of as many users at a time as that is


def rank(scores: Floats, history: Sequence[Ints], depth: int = NDCG_AT) -> Ints:
    """Best items first, what the user had left out. int64 [n, min(depth, k)]; ties by item number.

    Args:
        scores: float32 [n, k]; unchanged.
        history: items of each user that are not to be ranked.
        depth: how many are wanted.
    """
    depth = min(depth, scores.shape[1])
    best = np.empty((len(scores), depth), dtype=np.int64)
    for chosen, row, had in zip(best, scores, history, strict=True):
        left = row.copy()
        left[had] = -np.inf
        least = np.partition(left, -depth)[-depth]  # sorting the few that can be among the best is enough
        near = np.flatnonzero(left >= least)
        chosen[:] = near[np.argsort(-left[near], kind="stable")[:depth]]
    return best


def recall(best: Ints, targets: Sequence[Ints], at: int) -> npt.NDArray[np.float64]:
    """Per user |top `at` and T| / min(`at`, |T|): 1 is always possible. float64 [n]."""
    hits = [np.isin(row[:at], wanted).sum() for row, wanted in zip(best, targets, strict=True)]
    most = [min(at, len(wanted)) for wanted in targets]
    return np.array(hits, dtype=np.float64) / np.array(most, dtype=np.float64)


def ndcg(best: Ints, targets: Sequence[Ints], at: int) -> npt.NDArray[np.float64]:
    """Per user DCG / ideal DCG with gain 1 / log2(1 + rank), both cut at `at`. float64 [n].

    Source: Liang et al. 2018, arXiv 1802.05814, section 4.2.
    """
    gains = 1.0 / np.log2(np.arange(2, at + 2))
    ideal = np.cumsum(gains)
    rows = [
        (np.isin(row[:at], wanted) * gains[: len(row[:at])]).sum() / ideal[min(at, len(wanted)) - 1]
        for row, wanted in zip(best, targets, strict=True)
    ]
    return np.array(rows)


def evaluate_scores(
    scores: Floats, history: Sequence[Ints], targets: Sequence[Ints]
) -> Mapping[str, MetricValue]:
    """recall@20, recall@50 and ndcg@100 of scores [n, k]; the users' own histories are masked."""
    return {name: MetricValue.of(values) for name, values in evaluate_users(scores, history, targets).items()}


def evaluate_users(
    scores: Floats, history: Sequence[Ints], targets: Sequence[Ints]
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Recall and NDCG of each user: float64 [n] each."""
    best = rank(scores, history)
    rows = {f"recall@{at}": recall(best, targets, at) for at in RECALL_AT}
    rows[f"ndcg@{NDCG_AT}"] = ndcg(best, targets, NDCG_AT)
    return rows


def evaluate_vectors(
    users: Floats, items: Floats, history: Sequence[Ints], targets: Sequence[Ints]
) -> Mapping[str, MetricValue]:
    """Evaluate inner products, which are never all there at once: users [n, d], items [k, d]."""
    size = max(1, BLOCK_SCORES // max(1, len(items)))
    blocks = [
        evaluate_users(users[i : i + size] @ items.T, history[i : i + size], targets[i : i + size])
        for i in range(0, len(users), size)
    ]
    return {name: MetricValue.of(np.concatenate([block[name] for block in blocks])) for name in blocks[0]}
