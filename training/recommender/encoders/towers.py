"""The user and the item tower of a recommender, as functions of the preprocessor's arrays.

    item: sum over features -> input vector -> hidden layers -> vector, the last dimension its bias
    user: history pooled over the items' input vectors, user features -> hidden layers -> vector, then 1

A plain inner product of the two is the training score. There is no table of users: a new user is served
from history and features, a new item from its content. `export_modules` has them as they are
exported.

n rows, h entries of a history, d dimensions. Index layout: `bundle.preprocess.features.schema`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bundle.preprocess.features.schema import FIRST, PAD, FeatureSchema, FeatureSpec, input_names
from training.config.sections import HiddenConfig
from training.layers import Hidden
from training.recommender.config.features import FeatureConfig
from training.recommender.config.towers import SequenceConfig, TowersConfig
from training.recommender.encoders.feature_embeddings import (
    KNOTS,
    FeatureEmbedding,
    feature_embedding,
    natural_dim,
)
from training.recommender.encoders.sequence import sequence_module, window, without_gaps

HISTORY_STATISTICS = 2  # log of the number of entries, and of their summed recency weights
MATRIX_ITEMS = 20_000
FAR_DAYS = 1e9  # of padding, so that it is never the newest entry


class ItemInputs(nn.Module):
    """Input vectors of items, shared by both towers: the sum of what each feature says.

    Args:
        schema: of the item side.
        features: its declarations, in the same order.
        dim: of the input vector.
        id_name: the feature that is the item's id.
    """

    def __init__(
        self, schema: FeatureSchema, features: Sequence[FeatureConfig], dim: int, id_name: str
    ) -> None:
        super().__init__()
        self.id_position = next(i for i, spec in enumerate(schema.features) if spec.name == id_name)
        self.parts = nn.ModuleList(
            feature_embedding(spec, feature, dim) for spec, feature in _pairs(schema, features)
        )
        self.projections = nn.ModuleList(
            nn.Linear(feature.dim, dim, bias=False) if feature.dim else nn.Identity() for feature in features
        )

    def forward(self, *arrays: Tensor) -> Tensor:
        """The features' arrays in order -> (n, d)."""
        return torch.stack([self.embedded(position, array) for position, array in enumerate(arrays)]).sum(0)

    def embedded(self, position: int, array: Tensor) -> Tensor:
        """Embed the feature at that position: (n, d)."""
        vectors: Tensor = self.projections[position](self.parts[position](array))
        return vectors

    def projected(self, position: int, weights: Tensor) -> Tensor:
        """Weights that read an input vector (d, c), as they read that feature alone: (its dim, c)."""
        projection = self.projections[position]
        return projection.weight.detach().T @ weights if isinstance(projection, nn.Linear) else weights

    def part(self, position: int) -> FeatureEmbedding:
        """The embedding of the feature at that position."""
        return cast(FeatureEmbedding, self.parts[position])


class HistoryPool(nn.Module):
    """Weighted sum of a history's vectors: by recency 2^(-age / half-life), over the weights' L2 norm.

    Ages count from the newest known entry. Several half-lives are mixed, for what a user wants now and what
    a user always wants. Dividing by the L2 norm and not by the sum lets a long history that agrees with
    itself speak louder than a short one, as in Mult-VAE (arXiv 1802.05814, section 2.3).

    What a user always wants, as of items that are new, may be asked of a second reading, unweighted.

    Args:
        half_lives_days: where learning them starts; without one, all entries weigh alike.
        unweighted: whether to read the history a second time, all entries alike.
    """

    def __init__(self, half_lives_days: Sequence[float], *, unweighted: bool = False) -> None:
        super().__init__()
        self.readings = 1 + unweighted
        self.log_half_lives: nn.Parameter | None = None
        if half_lives_days:
            self.log_half_lives = nn.Parameter(torch.tensor(half_lives_days).log())  # (j,)
            self.mixture = nn.Parameter(torch.zeros(len(half_lives_days)))  # (j,), before the softmax

    def forward(self, table: Tensor, entries: Tensor, ages_days: Tensor) -> Tensor:
        """(n, readings * d + HISTORY_STATISTICS): pooled vectors, then how long and how recent they are.

        Up to MATRIX_ITEMS it multiplies by a matrix (n, FIRST + items) of weights, no larger than the
        scores of the full softmax, and whose gradient is 15 times as fast as a gather's (measured for
        histories of up to 512 out of 3,145 items). Beyond, that matrix would be most of a step.

        Args:
            table: (FIRST + items, d).
            entries: int64 (n, h), padded with 0.
            ages_days: float32 (n, h).
        """
        weights, facts = self.weights(entries, ages_days)
        return torch.cat([*(_pooled(table, entries, one) for one in weights.unbind(1)), facts], dim=1)

    def weights(self, entries: Tensor, ages_days: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh every entry, and count.

        Returns:
            For each reading, (n, readings, h), 0 for padding; HISTORY_STATISTICS of every history, (n, 2).
        """
        mask = (entries != PAD).to(ages_days.dtype)  # (n, h)
        if self.log_half_lives is None:
            recency = mask.unsqueeze(1)  # (n, 1, h)
            mixture = mask.new_ones(1)
        else:
            newest = (ages_days + (1.0 - mask) * FAR_DAYS).amin(1, keepdim=True)  # (n, 1)
            ages = ((ages_days - newest) * mask).unsqueeze(1)  # (n, 1, h)
            half_lives = self.log_half_lives.exp().unsqueeze(1)  # (j, 1)
            recency = mask.unsqueeze(1) * torch.exp2(-ages / half_lives)  # (n, j, h)
            mixture = self.mixture.softmax(0)
        weights = [(_of_norm_1(recency) * mixture.unsqueeze(1)).sum(1)]  # (n, h) each
        if self.readings > 1:
            weights.append(_of_norm_1(mask))
        recent = (recency.sum(2) * mixture).sum(1)  # (n,)
        return torch.stack(weights, dim=1), torch.stack([mask.sum(1).log1p(), recent.log1p()], dim=1)


def _of_norm_1(weights: Tensor) -> Tensor:
    """Over the L2 norm of the last dimension, which stays 0 where all are."""
    return weights / weights.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()


def _pooled(table: Tensor, entries: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows (FIRST + items, d) by entries (n, h) and weights (n, h): (n, d)."""
    if len(table) > MATRIX_ITEMS:
        return F.embedding_bag(entries, table, mode="sum", per_sample_weights=weights)
    return weights.new_zeros(len(weights), len(table)).scatter_add(1, entries, weights) @ table


class HistorySequence(nn.Module):
    """The part of a user's vector that comes from the order of a history: 0 at first.

    Args:
        item_dim: of the items' input vectors, which are read at the config's width.
        config: how.
        output_dim: of the user's vector, without the constant.
    """

    def __init__(self, item_dim: int, config: SequenceConfig, output_dim: int) -> None:
        super().__init__()
        self.length = config.length
        self.read = nn.Linear(item_dim, config.dim, bias=False)
        self.layers = sequence_module(config)
        self.write = nn.Linear(config.dim, output_dim, bias=False)
        nn.init.zeros_(self.write.weight)

    def forward(self, table: Tensor, entries: Tensor) -> Tensor:
        """Input vectors of items (FIRST + items, d) and int64 (n, h), padded at its end -> (n, output)."""
        shown = window(entries, self.length)
        return self.of_vectors(F.embedding(shown, self.read(table)), shown)

    def of_vectors(self, vectors: Tensor, shown: Tensor) -> Tensor:
        """Encode what `read` makes of a window's entries (n, w, s), and these (n, w) -> (n, output_dim)."""
        added: Tensor = self.write(self.layers(vectors, (shown != PAD).to(vectors.dtype)))
        return added


class UserTower(nn.Module):
    """The pooled history, its order and the user's features to a vector.

    Args:
        schema: of the user side.
        features: its declarations, in the same order.
        config: of both towers.
    """

    def __init__(
        self, schema: FeatureSchema, features: Sequence[FeatureConfig], config: TowersConfig
    ) -> None:
        super().__init__()
        self.slots = []  # where each feature's arrays start among the inputs
        self.pool = HistoryPool(config.half_lives_days or (), unweighted=bool(config.unweighted))
        self.history_width = self.pool.readings * config.width + HISTORY_STATISTICS
        parts, width, start = list[FeatureEmbedding](), self.history_width, 0
        for spec, feature in _pairs(schema, features):
            if spec.kind == "history":
                self.history_slots = slice(start, start + len(input_names(spec)))
            else:
                self.slots.append(start)
                parts.append(feature_embedding(spec, feature, natural_dim(spec), KNOTS))
                width += parts[-1].dim
            start += len(input_names(spec))
        self.parts = nn.ModuleList(parts)
        output_dim = config.user_layers.output_dim - config.item_bias
        self.hidden = Hidden(width, _outputs(config.user_layers, output_dim))
        self.sequence: HistorySequence | None = None
        if config.sequence is not None:
            self.sequence = HistorySequence(config.width, config.sequence, output_dim)
        self.item_bias = config.item_bias

    def forward(self, table: Tensor, *arrays: Tensor) -> Tensor:
        """The items' input vectors (FIRST + items, d) and the preprocessor's arrays -> (n, output_dim)."""
        entries, ages_days, *_ = self.history(arrays)  # a log's items are all known
        pooled = self.pool(table, entries, ages_days)
        vector: Tensor = self.hidden(torch.cat([pooled, *self.embedded(arrays)], dim=1))
        if self.sequence is not None:
            vector = vector + self.sequence(table, without_gaps(entries))
        return self.finished(vector)

    def feature_parts(self) -> list[FeatureEmbedding]:
        """The embeddings of the other features, in the order of `slots`."""
        return [cast(FeatureEmbedding, part) for part in self.parts]

    def history(self, arrays: Sequence[Tensor]) -> Sequence[Tensor]:
        """Entries, their ages, and the new ones' places and content, among the preprocessor's arrays."""
        return arrays[self.history_slots]

    def embedded(self, arrays: Sequence[Tensor]) -> list[Tensor]:
        """Embed the other features, each (n, dim of its own)."""
        return [part(arrays[slot]) for part, slot in zip(self.parts, self.slots, strict=True)]

    def finished(self, vector: Tensor) -> Tensor:
        """Append the constant 1 that an item's bias is multiplied by."""
        return torch.cat([vector, torch.ones_like(vector[:, :1])], dim=1) if self.item_bias else vector


class TwoTowers(nn.Module):
    """Both towers and the item inputs that they share.

    Args:
        user_schema, item_schema: what `training.recommender.data.features` fitted.
        user, item: the declarations, in the same order.
        config: widths and so on.
        id_name: the item feature that is the item's id.
    """

    def __init__(
        self,
        user_schema: FeatureSchema,
        item_schema: FeatureSchema,
        user: Sequence[FeatureConfig],
        item: Sequence[FeatureConfig],
        *,
        config: TowersConfig,
        id_name: str,
    ) -> None:
        super().__init__()
        self.item_dim, self.item_bias = config.width, config.item_bias
        self.rank = (
            config.item_layers.output_dim - config.item_bias
        )  # dimensions that users and items meet in
        self.item_inputs = ItemInputs(item_schema, item, config.width, id_name)
        self.user_tower = UserTower(user_schema, user, config)
        self.item_tower = Hidden(config.width, config.item_layers)

    def item_vectors(self, *arrays: Tensor) -> Tensor:
        """(n, output_dim)."""
        vectors: Tensor = self.item_tower(self.item_inputs(*arrays))
        return vectors

    def history_table(self, *arrays: Tensor) -> Tensor:
        """Make the table that histories look up, (FIRST + items, d), of the known items' arrays."""
        inputs: Tensor = self.item_inputs(*arrays)
        return torch.cat([inputs.new_zeros(FIRST, inputs.shape[1]), inputs])


def _pairs(
    schema: FeatureSchema, features: Sequence[FeatureConfig]
) -> list[tuple[FeatureSpec, FeatureConfig]]:
    return list(zip(schema.features, features, strict=True))


def linear_path(hidden: Hidden) -> nn.Linear:
    """The layer by which an input reaches the output at once: the skip path, or the only layer."""
    output = hidden.skip or hidden.layers[-1]
    assert isinstance(output, nn.Linear)
    return output


def _outputs(config: HiddenConfig, output_dim: int) -> HiddenConfig:
    return config.model_copy(update={"output_dim": output_dim})
