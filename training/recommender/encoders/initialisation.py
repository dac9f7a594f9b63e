"""Starts the towers at a closed-form solution instead of at noise, cut to the towers' width.

The item-item matrix B (k, k) of `structure` is cut by SVD to A C' with A, C (k, r): a user's scores
(history) B become (history A) C'. An item's input vector holds both, [A_i, C_i]: the user tower's linear
path starts by reading the first half, the item tower's by reading the second. What of it the items' content
explains (`content`) starts in the content features, only the rest in the id's embedding, so that an item
never seen starts with a vector as well. How popular an item is stays with its id: words that sold well this
season say little of an item that nobody has seen.

Source for factors as a start: Rendle et al. 2021, arXiv 2110.14037.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bundle.preprocess.features.schema import FIRST
from training.errors import ConfigError
from training.layers import Hidden
from training.recommender.baselines import Floats
from training.recommender.encoders.content import ContentSettings, choose_ridge, precision, predicted_diagonal
from training.recommender.encoders.feature_embeddings import FeatureEmbedding
from training.recommender.encoders.structure import ClosedForm, Structures, late_popularity
from training.recommender.encoders.towers import TwoTowers

OWN_IN_MATRIX = 1.0  # at most: more would cost the known items, whose ranking leaves out the history
SPARE_DIRECTIONS = 64
SUBSPACE_ITERATIONS = 6


def initialise_from_closed_form(
    towers: TwoTowers,
    items: Sequence[Tensor],
    train: Floats,
    lately: Floats,
    form: ClosedForm,
    *,
    scale: float,
    believed: ContentSettings | None = None,
    texts: Floats | None = None,
) -> None:
    """Set the item inputs and the linear paths; hidden layers add nothing at first.

    One more dimension of the input vectors holds how popular an item has been lately (log, standardised),
    from which the item tower's bias starts.

    Args:
        towers: with room for both factors: item_dim at least twice the rank.
        items: the known items' arrays, in vocabulary order.
        train: float32 (users, k), who took what.
        lately: float32 (k,), how many users have an item among what they took last.
        form: what the start is computed from.
        scale: of the scores.
        believed: how far content is believed; by what misses least of left-out items, if not given.
        texts: float32 (k, v), TF-IDF of the items' texts.

    Raises:
        ConfigError: the towers are too narrow, or have hidden layers without a skip path.
    """
    rank, dim = towers.rank, towers.item_dim
    if any(isinstance(one, nn.Linear) for one in towers.item_inputs.projections):
        raise ConfigError("towers.initialisation sets the item features itself; leave out their dim")
    if dim < 2 * rank + 1:
        raise ConfigError(f"towers.item_dim = {dim} cannot hold both factors; it needs {2 * rank + 1}")
    parts, designs = _content(towers, items)
    content = joined(designs, len(lately))
    matrix = torch.from_numpy(Structures(train, texts).matrix(form))
    believed = believed or ContentSettings(choose_ridge(content, matrix, torch.from_numpy(train)))
    of_content = precision(content, believed.ridge)
    in_matrix = min(believed.own, OWN_IN_MATRIX)
    matrix.diagonal().copy_(predicted_diagonal(matrix, of_content) + in_matrix)
    left, right = (torch.from_numpy(one) for one in factors(matrix.numpy(), rank))  # (k, r) each
    # What more than that own items say of new ones is read with the left factor's inverse: A (A'A)^-1.
    more = (believed.own - in_matrix) * left / left.square().sum(0).clamp(min=1e-12)
    of_features = content.T @ (of_content @ _side_by_side(left, scale * (right + more), dim))  # (c, d)
    of_id = _side_by_side(left, scale * right, dim) - content @ of_features
    of_id[:, 2 * rank] = torch.from_numpy(late_popularity(lately))
    with torch.no_grad():
        _read(towers.user_tower.hidden, rank, offset=0)
        linear = _read(towers.item_tower, rank, offset=rank)
        if towers.item_bias:
            linear.weight[rank, 2 * rank] = scale * form.popularity
    entries = [design.shape[1] for design in designs]
    for part, weights in zip(parts, of_features.split_with_sizes(entries), strict=True):
        part.set_weights(weights)
    inputs = towers.item_inputs
    inputs.part(inputs.id_position).set_weights(torch.cat([torch.zeros(FIRST, dim), of_id]))


def _side_by_side(left: Tensor, right: Tensor, dim: int) -> Tensor:
    """Both factors of the structure, [A, C, 0]: (k, dim)."""
    return nn.functional.pad(torch.cat([left, right], dim=1), (0, dim - 2 * left.shape[1]))


def content_of(towers: TwoTowers, items: Sequence[Tensor]) -> Tensor:
    """What content features make of the known items, X (k, c)."""
    return joined(_content(towers, items)[1], len(items[0]))


def joined(designs: Sequence[Tensor], count: int) -> Tensor:
    """Designs side by side, (count, c); c is 0 without any."""
    return torch.cat([torch.zeros(count, 0), *designs], dim=1)


def _content(towers: TwoTowers, items: Sequence[Tensor]) -> tuple[list[FeatureEmbedding], list[Tensor]]:
    """Find the embedding of each content feature, and its design (k, c)."""
    inputs = towers.item_inputs
    positions = [position for position in range(len(items)) if position != inputs.id_position]
    parts = [inputs.part(position) for position in positions]
    return parts, [part.design(items[at]) for part, at in zip(parts, positions, strict=True)]


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


def _read(hidden: Hidden, rank: int, *, offset: int) -> nn.Linear:
    """Let the linear path, which is returned, pass on `rank` inputs from `offset` on and nothing else."""
    output = hidden.layers[-1]
    assert isinstance(output, nn.Linear)
    if hidden.skip is None and len(hidden.layers) > 1:
        raise ConfigError("towers.initialisation needs skip = true in towers with hidden layers")
    output.weight.zero_()
    output.bias.zero_()
    linear = hidden.skip or output
    linear.weight.zero_()
    linear.weight[:rank, offset : offset + rank] = torch.eye(rank)
    return linear
