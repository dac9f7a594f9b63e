"""Starts the towers at a closed-form solution instead of at noise, cut to the towers' width.

The item-item matrix B (k, k) of `structure` is cut by SVD to A C' with A, C (k, r): a user's scores
(history) B become (history A) C'. What a history says of new items is cut with it, since both share the
towers' width; where the history is read unweighted as well, there is an A for each reading. An item's input
vector holds all, [A_i, C_i]: the user tower's linear path starts by reading its A of each reading, the item
tower's by reading C. What of it the items' content
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
from training.recommender.encoders.factors import Block, factors
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
    histories: Sequence[Floats],
    scale: float,
    believed: ContentSettings | None = None,
    texts: Floats | None = None,
) -> None:
    """Set the item inputs and the linear paths; hidden layers add nothing at first.

    One more dimension of the input vectors holds how popular an item has been lately (log, standardised),
    from which the item tower's bias starts.

    Args:
        towers: with room for the factors: item_dim at least the rank for each reading, and once more.
        items: the known items' arrays, in vocabulary order.
        train: float32 (users, k), who took what.
        lately: float32 (k,), how many users have an item among what they took last.
        form: what the start is computed from.
        histories: of some users, as the user tower pools them: float32 (n, k) for each reading.
        scale: of the scores.
        believed: how far content is believed; by what misses least of left-out items, if not given.
        texts: float32 (k, v), TF-IDF of the items' texts.

    Raises:
        ConfigError: the towers are too narrow, or have hidden layers without a skip path.
    """
    rank, dim, readings = towers.rank, towers.item_dim, towers.user_tower.pool.readings
    needed = (readings + 1) * rank + 1
    if any(isinstance(one, nn.Linear) for one in towers.item_inputs.projections):
        raise ConfigError("towers.initialisation sets the item features itself; leave out their dim")
    if dim < needed:
        raise ConfigError(f"towers.item_dim = {dim} cannot hold the factors; it needs {needed}")
    parts, designs = _content(towers, items)
    content = joined(designs, len(lately))
    matrix = torch.from_numpy(Structures(train, texts).matrix(form))
    believed = believed or ContentSettings(choose_ridge(content, matrix, torch.from_numpy(train)))
    of_content = precision(content, believed.ridge)
    matrix.diagonal().copy_(predicted_diagonal(matrix, of_content))
    of_new = matrix.clone()
    of_new.diagonal().add_(believed.own)  # own items say more of new ones with their content
    blocks = [Block(matrix.numpy())]
    if content.shape[1]:
        blocks.append(Block(_as_new(of_new, of_content, content, matrix.norm()), readings - 1))
    cut = factors(blocks, rank, histories)
    left = [torch.from_numpy(one) for one in cut.left]  # (k, r) each
    right, reader = torch.from_numpy(cut.right[0]), torch.from_numpy(cut.reader[-1])  # (k, r)
    of_features = content.T @ (of_content @ _side_by_side([*left, scale * of_new.T @ reader], dim))  # (c, d)
    of_id = _side_by_side([*left, scale * right], dim) - content @ of_features
    of_id[:, needed - 1] = torch.from_numpy(late_popularity(lately))
    with torch.no_grad():
        _read(towers.user_tower.hidden, rank, offsets=[place * (dim + rank) for place in range(readings)])
        linear = _read(towers.item_tower, rank, offsets=[readings * rank])
        if towers.item_bias:
            linear.weight[rank, needed - 1] = scale * form.popularity
    entries = [design.shape[1] for design in designs]
    for part, weights in zip(parts, of_features.split_with_sizes(entries), strict=True):
        part.set_weights(weights)
    inputs = towers.item_inputs
    inputs.part(inputs.id_position).set_weights(torch.cat([torch.zeros(FIRST, dim), of_id]))


def _as_new(matrix: Tensor, of_content: Tensor, content: Tensor, norm: Tensor) -> Floats:
    """What content makes of the known items, as if each was new: B P X X' (k, k), of that norm."""
    scores = matrix @ (of_content @ content) @ content.T
    found: Floats = (scores * (norm / scores.norm().clamp(min=1e-12))).numpy()
    return found


def _side_by_side(factors: Sequence[Tensor], dim: int) -> Tensor:
    """Factors (k, r) of the structure, then 0: (k, dim)."""
    return nn.functional.pad(torch.cat(list(factors), dim=1), (0, dim - sum(one.shape[1] for one in factors)))


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


def _read(hidden: Hidden, rank: int, *, offsets: Sequence[int]) -> nn.Linear:
    """Let the linear path, which is returned, pass on the sum of `rank` inputs from each offset on alone."""
    output = hidden.layers[-1]
    assert isinstance(output, nn.Linear)
    if hidden.skip is None and len(hidden.layers) > 1:
        raise ConfigError("towers.initialisation needs skip = true in towers with hidden layers")
    output.weight.zero_()
    output.bias.zero_()
    linear = hidden.skip or output
    linear.weight.zero_()
    for offset in offsets:
        linear.weight[:rank, offset : offset + rank] = torch.eye(rank)
    return linear
