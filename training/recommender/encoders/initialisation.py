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

import torch
from torch import Tensor, nn

from bundle.preprocess.features.schema import FIRST
from training.errors import ConfigError
from training.layers import Hidden
from training.recommender.baselines import Floats
from training.recommender.encoders.content import ContentSettings, choose_ridge, precision, predicted_diagonal
from training.recommender.encoders.factors import factors, histories_root
from training.recommender.encoders.feature_embeddings import FeatureEmbedding
from training.recommender.encoders.structure import ClosedForm, Structures, late_popularity
from training.recommender.encoders.towers import TwoTowers


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
    matrix.diagonal().copy_(predicted_diagonal(matrix, of_content))
    cut = factors(matrix.numpy(), rank, histories_root(train))
    left, right, reader = (torch.from_numpy(one) for one in (cut.left, cut.right, cut.reader))  # (k, r) each
    of_new = right + believed.own * reader  # own items say more of new ones with their content
    of_features = content.T @ (of_content @ _side_by_side(left, scale * of_new, dim))  # (c, d)
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
