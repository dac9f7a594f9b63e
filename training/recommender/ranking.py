"""How well scores rank what a user took next. Pure numpy, over all items, never a sample of them.

Sampled metrics can order models the wrong way round: Krichene and Rendle, KDD 2020.
The metrics are RecBole's (Zhao et al. 2021, arXiv 2011.01731, section 3.2), but for the capped recall, which
Liang et al. 2018 report (arXiv 1802.05814, section 4.2).
n users, k items.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from training.errors import ConfigError, VectorError
from training.metrics import MetricValue

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Values = Mapping[str, npt.NDArray[np.float64]]  # metric -> one value per user

RECALL_AT = (10, 20, 50)
CAPPED_AT = 20
NDCG_AT = (10, 20, 100)
DEPTH = 100
BLOCK_SCORES = 1 << 25  # 128 MB, of as many users at a time as that is
TIES_SEED = 0


def rank(
    scores: Floats, history: Sequence[Ints], depth: int = DEPTH, ties: np.random.Generator | None = None
) -> Ints:
    """Best items first, what the user had left out. int64 [n, min(depth, k)].

    Equal scores are ordered by chance, so that an encoder that tells nothing apart is worth a guess.

    Args:
        scores: float32 [n, k]; unchanged.
        history: items of each user that are not to be ranked.
        depth: how many are wanted.
        ties: makes the chance; by default always the same.

    Raises:
        VectorError: a score is not finite.
    """
    if not (finite := np.isfinite(scores)).all():
        users = int((~finite.all(1)).sum())
        raise VectorError(f"the scores of {users} of {len(scores)} users are not finite (NaN or infinite)")
    ties = ties or np.random.default_rng(TIES_SEED)
    depth = min(depth, scores.shape[1])
    best = np.empty((len(scores), depth), dtype=np.int64)
    for chosen, row, had in zip(best, scores, history, strict=True):
        left = row.copy()
        left[had] = -np.inf
        least = np.partition(left, -depth)[-depth]  # sorting the few that can be among the best is enough
        near = np.flatnonzero(left >= least)
        chosen[:] = near[np.lexsort((ties.random(len(near)), -left[near]))[:depth]]
    return best


def hits(best: Ints, targets: Sequence[Ints]) -> npt.NDArray[np.bool_]:
    """Mark which of the best items were taken: bool [n, depth]. Raises ConfigError: nothing was."""
    if without := sum(not len(wanted) for wanted in targets):
        raise ConfigError(f"{without} of {len(targets)} users have no target; leave them out")
    rows = [np.isin(row, wanted) for row, wanted in zip(best, targets, strict=True)]
    return np.array(rows, dtype=np.bool_).reshape(best.shape)


def recall(found: npt.NDArray[np.bool_], sizes: Ints, at: int) -> npt.NDArray[np.float64]:
    """Per user |top `at` and T| / |T|. float64 [n].

    Args:
        found: of `hits`.
        sizes: |T| of each user, [n].
        at: how many of the best count.
    """
    return np.asarray(found[:, :at].sum(1) / sizes, dtype=np.float64)


def capped_recall(found: npt.NDArray[np.bool_], sizes: Ints, at: int) -> npt.NDArray[np.float64]:
    """Per user |top `at` and T| / min(`at`, |T|): 1 is always possible. float64 [n]."""
    return recall(found, np.minimum(sizes, at), at)


def ndcg(found: npt.NDArray[np.bool_], sizes: Ints, at: int) -> npt.NDArray[np.float64]:
    """Per user DCG / ideal DCG with gain 1 / log2(1 + rank), both cut at `at`. float64 [n]."""
    gains = 1.0 / np.log2(np.arange(2, at + 2))
    ideal = np.cumsum(gains)[np.minimum(sizes, at) - 1]
    return np.asarray(found[:, :at] @ gains[: found.shape[1]] / ideal, dtype=np.float64)


def metrics_of(best: Ints, targets: Sequence[Ints]) -> Values:
    """Every metric of each user, of rankings [n, depth]: float64 [n] each."""
    found = hits(best, targets)
    sizes = np.array([len(wanted) for wanted in targets], dtype=np.int64)
    rows = {f"recall@{at}": recall(found, sizes, at) for at in RECALL_AT}
    rows[f"capped recall@{CAPPED_AT}"] = capped_recall(found, sizes, CAPPED_AT)
    return rows | {f"ndcg@{at}": ndcg(found, sizes, at) for at in NDCG_AT}


def evaluate_scores(
    scores: Floats, history: Sequence[Ints], targets: Sequence[Ints]
) -> Mapping[str, MetricValue]:
    """Recall and NDCG of scores [n, k]; the users' own histories are masked."""
    return means(evaluate_users(scores, history, targets))


def means(values: Values) -> Mapping[str, MetricValue]:
    """The mean of each metric over users, with its standard error."""
    return {name: MetricValue.of(found) for name, found in values.items()}


def evaluate_users(
    scores: Floats,
    history: Sequence[Ints],
    targets: Sequence[Ints],
    ties: np.random.Generator | None = None,
) -> Values:
    """Recall and NDCG of each user: float64 [n] each."""
    return metrics_of(rank(scores, history, ties=ties), targets)


def evaluate_vectors(
    users: Floats, items: Floats, history: Sequence[Ints], targets: Sequence[Ints]
) -> Values:
    """Evaluate inner products, which are never all there at once: users [n, d], items [k, d].

    Raises:
        ConfigError: there is no user.
        VectorError: a vector is not finite.
    """
    if not len(users):
        raise ConfigError(
            "data: there is no user to measure; a user needs two interactions, and a known target"
        )
    for side, vectors in (("user", users), ("item", items)):
        if bad := int((~np.isfinite(vectors).all(1)).sum()):
            raise VectorError(f"{bad} of {len(vectors)} {side} vectors are not finite (NaN or infinite)")
    size, ties = max(1, BLOCK_SCORES // max(1, len(items))), np.random.default_rng(TIES_SEED)
    blocks = [
        evaluate_users(users[i : i + size] @ items.T, history[i : i + size], targets[i : i + size], ties)
        for i in range(0, len(users), size)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
