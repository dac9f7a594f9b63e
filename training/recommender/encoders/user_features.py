"""Starts the user's features at what they say of taste, beside a history that has a start of its own.

    features' designs -> regression on the items' vectors -> weight -> embeddings and the path that reads them

The regression is of what users took, history left aside. A history's voice grows with its length, a
feature's stays, so one weight serves users of whom nothing else is known and those of whom much is. It is
chosen on validation users, with all their history, with little of it, with none, and, of several features,
with each of them alone.

n users, k items, c candidates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bundle.preprocess.features.schema import PAD
from training.recommender.baselines import Floats
from training.recommender.encoders.feature_embeddings import FeatureEmbedding, Number
from training.recommender.encoders.regression import Taken, choose_ridges, fit
from training.recommender.encoders.towers import TwoTowers, UserTower, linear_path
from training.recommender.ranking import Ints, evaluate_users

# Times the spread of scores. New users are ranked by features and popularity alone, which may weigh little.
WEIGHTS = tuple(float(one) for one in np.geomspace(0.01, 3.0, 20))
LEAD = 0.5  # standard errors that a smaller weight must be better by
LENGTHS = (None, 2, 0)  # of validation users' histories: whole, short, none
MOST_HELD = 1_000  # validation users that choose the weight
MOST_TAKEN = 1 << 25  # scores of users by items: as many users are learned from as that is
MOST_ENTRIES = 1_000  # of a feature: the most frequent start at the regression, the others at 0
SMALLEST_DIRECTION = 0.02  # of the largest
CHUNK = 1 << 24  # numbers of a design at a time


@dataclass(frozen=True)
class HeldOut:
    """Validation users, and the items that are ranked for them.

    Attributes:
        users: the preprocessor's arrays, with whole histories.
        items: the candidates' arrays.
        history: of each user, positions among the candidates that are not ranked again.
        targets: of each user, positions among the candidates.
    """

    users: Sequence[Tensor]
    items: Sequence[Tensor]
    history: Sequence[Ints]
    targets: Sequence[Ints]


@dataclass(frozen=True)
class Coefficients:
    """U of one feature: values (m, rank) of the entries int64 (m,), 0 of all others."""

    entries: Tensor
    values: Tensor


def initialise_user_features(
    towers: TwoTowers,
    known: Sequence[Tensor],
    users: Sequence[Tensor],
    taken: Floats,
    held_out: HeldOut,
    *,
    metric: str,
) -> float:
    """Set the embeddings of the user's features, and the linear path that reads them; returns their weight.

    A feature that says nothing of what users take is not read at first; training can still find it.

    Args:
        towers: whose history and items have a start already, with a linear path through the user tower.
        known: the known items' arrays.
        users: arrays of users to learn from.
        taken: float32 (n, k), which known items they took that their features were not made of.
        held_out: users to choose the weight by.
        metric: of `ranking`, to choose it by.
    """
    towers.eval()  # without dropout
    with torch.no_grad():
        vectors = towers.item_vectors(*known)[:, : towers.rank]
    found = _coefficients(towers.user_tower, users, torch.from_numpy(taken), vectors)
    with torch.no_grad():
        without = _vectors_by_length(towers, known, held_out)
        _set(towers, found)
        whole = _vectors_by_length(towers, known, held_out)
        alone = _alone(found)
        for one in alone:
            _set(towers, one)
            whole += _vectors_by_length(towers, known, held_out, lengths=(0,))
        without += [without[LENGTHS.index(0)]] * len(alone)
        weight = _choose_weight(without, whole, towers, held_out, metric)
        _set(towers, [Coefficients(one.entries, weight * one.values) for one in found])
    return weight


def _coefficients(
    tower: UserTower, users: Sequence[Tensor], items: Tensor, vectors: Tensor
) -> list[Coefficients]:
    """Regress what users took, (n, k), on their features; the knots of numbers are put among the users."""
    for part, slot in zip(tower.feature_parts(), tower.slots, strict=True):
        if isinstance(part, Number):
            part.place_knots(users[slot])
    columns = [
        _frequent(part, users[slot]) for part, slot in zip(tower.feature_parts(), tower.slots, strict=True)
    ]
    taken = Taken([design for _, design in columns], items)
    basis, to_rank = _basis(vectors)
    found = fit(taken, basis, choose_ridges(taken, basis))
    return [Coefficients(entries, one @ to_rank) for (entries, _), one in zip(columns, found, strict=True)]


def _alone(found: Sequence[Coefficients]) -> list[list[Coefficients]]:
    """Each feature that says something, with 0 for all others; nothing, if there is only one."""
    silent = [Coefficients(one.entries, torch.zeros_like(one.values)) for one in found]
    telling = [place for place, one in enumerate(found) if one.values.any()]
    if len(telling) < 2:
        return []
    return [[*silent[:place], found[place], *silent[place + 1 :]] for place in telling]


def _basis(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """What the items' vectors (k, rank) span, (k, m), and how its coordinates become users', (m, rank).

    Directions in which items hardly differ are left out: users would need vectors too long to be rounded.
    """
    left, values, right = torch.linalg.svd(vectors, full_matrices=False)
    used = int((values > SMALLEST_DIRECTION * values[0]).sum())
    root = math.sqrt(len(vectors))
    return left[:, :used] * root, right[:used] * (root / values[:used]).unsqueeze(1)


def _frequent(part: FeatureEmbedding, array: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of a feature that most users have, int64 (m,), and their columns of its design, (n, m)."""
    size = max(1, CHUNK // part.entries)
    blocks = [array[start : start + size] for start in range(0, len(array), size)]
    with torch.no_grad():
        counts = torch.stack([(part.design(block) != 0).sum(0) for block in blocks]).sum(0)
        entries = counts.argsort(descending=True, stable=True)[:MOST_ENTRIES].sort().values
        return entries, torch.cat([part.design(block)[:, entries] for block in blocks])


def _set(towers: TwoTowers, found: Sequence[Coefficients]) -> None:
    """Let each feature's embedding and the linear path after it be two factors of its U.

    Dimensions that U does not need keep an embedding and are not read, so that training can make use of them.
    """
    linear, place = linear_path(towers.user_tower.hidden), towers.user_tower.history_width
    for part, one in zip(towers.user_tower.feature_parts(), found, strict=True):
        left, values, right = torch.linalg.svd(one.values, full_matrices=False)
        used = min(part.dim, int((values > 1e-6).sum()))
        roots = values[:used].sqrt()
        weights = part.weights()
        weights[:, :used] = 0.0
        weights[one.entries, :used] = left[:, :used] * roots
        part.set_weights(weights)
        linear.weight[: towers.rank, place : place + part.dim] = 0.0
        linear.weight[: towers.rank, place : place + used] = (roots.unsqueeze(1) * right[:used]).T
        place += part.dim


def _vectors_by_length(
    towers: TwoTowers,
    known: Sequence[Tensor],
    held_out: HeldOut,
    lengths: Sequence[int | None] = LENGTHS,
) -> list[Tensor]:
    """Validation users with so much of their history, (n, output_dim) each."""
    table, tower = towers.history_table(*known), towers.user_tower
    entries = tower.history_slots.start
    found = []
    for length in lengths:
        arrays = [array[:MOST_HELD].clone() for array in held_out.users]
        if length is not None:
            arrays[entries][:, length:] = PAD
        found.append(tower(table, *arrays))
    return found


def _choose_weight(
    without: Sequence[Tensor],
    whole: Sequence[Tensor],
    towers: TwoTowers,
    held_out: HeldOut,
    metric: str,
) -> float:
    """The largest weight that is as good as the best, on average over all vectors.

    Of equal ones the smaller would only make a feature say less than it knows. None loses anything where the
    history is whole. The linear path makes a user's vector linear in it, so it is found between two of them.

    Args:
        without: vectors of users, first with whole histories, with features weighing 0.
        whole: the same, with features weighing 1.
        towers: for the items' vectors.
        held_out: whose users they are.
        metric: to choose by.
    """
    items = towers.item_vectors(*held_out.items)
    count = len(without[0])
    history, targets = held_out.history[:count], held_out.targets[:count]

    def values(weight: float) -> npt.NDArray[np.float64]:
        vectors = [a + weight * (b - a) for a, b in zip(without, whole, strict=True)]
        return np.stack(
            [evaluate_users((one @ items.T).numpy(), history, targets)[metric] for one in vectors]
        )

    least = values(0.0)
    spread = float((without[0] @ items.T).std(1).mean())  # the regression's own is that of log-odds
    found = {0.0: least.mean(0)}
    for weight in (spread * one for one in WEIGHTS):
        tried = values(weight)
        if not _is_below(tried[0] - least[0], 1.0):
            found[weight] = tried.mean(0)
    best = max(found, key=lambda weight: float(found[weight].mean()))
    as_good = [one for one in found if one >= best > 0.0 and not _is_below(found[one] - found[best], LEAD)]
    return max(as_good, default=best)


def _is_below(differences: npt.NDArray[np.float64], errors: float) -> bool:
    """Whether the mean of paired differences is below 0 by more than so many of its standard errors."""
    return float(differences.mean()) < -errors * float(differences.std()) / math.sqrt(len(differences))
