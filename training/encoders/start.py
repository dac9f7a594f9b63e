"""Starts the towers at a closed-form solution instead of at noise: EASE, cut to the towers' width.

EASE's item-item matrix B (k, k) is cut by SVD to A C' with A, C (k, r): a user's scores (history) B become
(history A) C'. An item's input vector holds both, [A_i, C_i]: the user tower's linear path starts by
reading the first half, the item tower's by reading the second. What of it the items' content explains (by
ridge regression) starts in the content features, only the rest in the id's embedding, so that an item
never seen starts with a vector as well.

Sources: `training.baselines.ease_of`; content as further rows: Jeunen et al. 2020 (CEASE), RecSys; for
factors as a start, Rendle et al. 2021, arXiv 2110.14037.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bundle.preprocess.schema import FIRST
from training.baselines import Floats, ease_of
from training.config import ConfigError, StartConfig
from training.encoders.layers import Hidden
from training.encoders.towers import TwoTowers

SPARE_DIRECTIONS = 64
SUBSPACE_ITERATIONS = 6
SMOOTHING = 5.0  # users added to each count, so that rare items are not pushed far down by chance
USER_SHARE = 0.25  # of the scale's logarithm: pooling makes user vectors long, and long ones round coarsely


def start_from_ease(
    towers: TwoTowers,
    items: Sequence[Tensor],
    train: Floats,
    lately: Floats,
    config: StartConfig,
    *,
    content: Floats | None = None,
) -> None:
    """Set the item inputs and the linear paths; hidden layers add nothing at first.

    One more dimension of the input vectors holds how popular an item has been lately (log, standardised),
    from which the item tower's bias starts.

    Args:
        towers: with room for both factors: item_dim at least twice the rank.
        items: the known items' arrays, in vocabulary order.
        train: float32 (users, k), who took what.
        lately: float32 (k,), how many users have an item among what they took last.
        config: regularisation and scale.
        content: float32 (k, v), TF-IDF of the items' texts. Its words join `train` as users who took the
            items that they stand in, so that items alike in content are so in the item-item structure.

    Raises:
        ConfigError: the towers are too narrow, or have hidden layers without a skip path.
    """
    rank, dim = towers.rank, towers.item_dim
    if any(isinstance(one, nn.Linear) for one in towers.item_inputs.projections):
        raise ConfigError("towers.start sets the item features itself; leave out their dim")
    if dim < 2 * rank + 1:
        raise ConfigError(f"towers.item_dim = {dim} cannot hold the factors of EASE; it needs {2 * rank + 1}")
    gram = train.T @ train
    if content is not None:
        gram += config.content_weight * (content @ content.T)
    left, right = factors(ease_of(gram, config.ease_lambda), rank)
    both = torch.zeros(len(left), dim)  # (k, d)
    both[:, :rank] = torch.from_numpy(left) * config.scale**USER_SHARE
    both[:, rank : 2 * rank] = torch.from_numpy(right) * config.scale ** (1 - USER_SHARE)
    both[:, 2 * rank] = torch.from_numpy(standardised(np.log(lately + SMOOTHING)))
    with torch.no_grad():
        _read(towers.user_tower.hidden, rank, offset=0)
        linear = _read(towers.item_tower, rank, offset=rank)
        if towers.item_bias:
            linear.weight[rank, 2 * rank] = config.popularity
        _divide(towers, items, both, config.content_ridge)


def factors(matrix: Floats, rank: int) -> tuple[Floats, Floats]:
    """A, C (k, rank) with A C' the best approximation of that rank; columns beyond k are 0.

    By subspace iteration (Halko et al. 2011, arXiv 0909.4061, algorithm 4.4): seconds where a full SVD takes
    40 s (k = 3,145), and exact where k is at most rank + SPARE_DIRECTIONS.
    """
    size = min(len(matrix), rank + SPARE_DIRECTIONS)
    basis = np.random.default_rng(0).normal(size=(len(matrix), size)).astype(np.float32)
    for _ in range(SUBSPACE_ITERATIONS):
        basis = np.linalg.qr(matrix @ basis)[0]
        basis = np.linalg.qr(matrix.T @ basis)[0]
    # (k, size), (size,), (size, size)
    left, values, right = np.linalg.svd(matrix @ basis, full_matrices=False)
    roots = np.sqrt(values[:rank])
    a, c = left[:, :rank] * roots, (basis @ right.T)[:, :rank] * roots
    missing = rank - a.shape[1]
    return np.pad(a, ((0, 0), (0, missing))), np.pad(c, ((0, 0), (0, missing)))


def standardised(values: Floats) -> Floats:
    """Mean 0 and standard deviation 1; all 0 if they are equal."""
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-6), dtype=np.float32)


def _read(hidden: Hidden, rank: int, *, offset: int) -> nn.Linear:
    """Let the linear path, which is returned, pass on `rank` inputs from `offset` on and nothing else."""
    output = hidden.layers[-1]
    assert isinstance(output, nn.Linear)
    if hidden.skip is None and len(hidden.layers) > 1:
        raise ConfigError("towers.start needs skip = true in towers with hidden layers")
    output.weight.zero_()
    output.bias.zero_()
    linear = hidden.skip or output
    linear.weight.zero_()
    linear.weight[:rank, offset : offset + rank] = torch.eye(rank)
    return linear


def _divide(towers: TwoTowers, items: Sequence[Tensor], both: Tensor, ridge: float) -> None:
    """Split the input vectors between content features and id."""
    inputs = towers.item_inputs
    content = [position for position in range(len(items)) if position != inputs.id_position]
    rest = both
    if content:
        parts = [inputs.part(position) for position in content]
        designs = [part.design(items[position]) for part, position in zip(parts, content, strict=True)]
        design = torch.cat(designs, dim=1)  # (k, c)
        gram = design.T @ design + ridge * torch.eye(design.shape[1])
        weights = torch.linalg.solve(gram, design.T @ both)  # (c, d)
        for part, block in zip(parts, weights.split([one.shape[1] for one in designs]), strict=True):
            part.start(block)
        rest = both - design @ weights
    table = torch.zeros(FIRST + len(rest), rest.shape[1])
    table[FIRST:] = rest
    inputs.part(inputs.id_position).start(table)
