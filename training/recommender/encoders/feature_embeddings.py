"""What embeds one declared feature: the preprocessor's array of it -> (n, d).

Each is linear in a `design` matrix (n, c), which is what a closed-form start solves for (`initialisation`):
forward(x) = design(x) @ weights, and `start` sets the weights. `folded` is the same part with a matrix
multiplied into them, as it is served.

n rows, k entries of a bag, d dimensions. Index layout: `bundle.preprocess.features.schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bundle.preprocess.features.schema import FIRST, MISSING, PAD, UNKNOWN, FeatureSpec
from training.layers import Int8Table
from training.recommender.config.features import BagPooling, FeatureConfig

KNOTS = 9  # of a user's number, an eighth of the users between two of them
NARROWEST = 1e-3  # standard deviations between two knots, so that equal ones make a step
MOST_DIMENSIONS = 64

# How many entries -> what the sum of their embeddings is divided by.
DIVISORS: Mapping[BagPooling, Callable[[Tensor], Tensor]] = {
    "mean": lambda counts: counts.clamp(min=1.0),
    "mean_sqrt": lambda counts: counts.clamp(min=1.0).sqrt(),
}


def embedding(entries: int, dim: int) -> nn.Embedding:
    """Rows of about unit length; pad, missing and unknown start at 0: what training lacks says nothing."""
    table = nn.Embedding(FIRST + entries, dim)
    nn.init.normal_(table.weight, std=dim**-0.5)
    nn.init.zeros_(table.weight[:FIRST])
    return table


class TableEmbedding(nn.Module):
    """What has a row of a table for every entry.

    Args:
        entries: of the vocabulary.
        dim: of the rows.
        dropout: how often an entry is hidden in training.
    """

    def __init__(self, entries: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.table = embedding(entries, dim)
        self.dropout = dropout

    @property
    def entries(self) -> int:
        """Columns of the design."""
        return self.table.num_embeddings

    @property
    def dim(self) -> int:
        """Of what it gives."""
        return self.table.embedding_dim

    def weights(self) -> Tensor:
        """A copy, (FIRST + entries, d)."""
        return self.table.weight.detach().clone()

    def set_weights(self, weights: Tensor) -> None:
        """Weights (FIRST + entries, d)."""
        self.table.weight.data.copy_(weights)


class Category(TableEmbedding):
    """An embedding; in training a value is hidden (as unknown) with probability `dropout`."""

    def forward(self, index: Tensor) -> Tensor:
        """int64 (n, 1) -> (n, d)."""
        index = index[:, 0]  # (n,)
        if self.training and self.dropout:
            hidden = torch.rand(index.shape) < self.dropout
            index = index.masked_fill(hidden & (index != MISSING), UNKNOWN)
        embedded: Tensor = self.table(index)
        return embedded

    def design(self, index: Tensor) -> Tensor:
        """One-hot: (n, FIRST + entries)."""
        return nn.functional.one_hot(index[:, 0], self.table.num_embeddings).to(self.table.weight.dtype)

    def folded(self, weights: Tensor) -> nn.Module:
        """Weights (d, c)."""
        return ExportedCategory(self.table.weight.detach() @ weights)


class Bag(TableEmbedding):
    """The entries' embeddings, pooled; in training each entry is left out with probability `dropout`."""

    def __init__(self, entries: int, dim: int, dropout: float, pooling: BagPooling = "mean_sqrt") -> None:
        super().__init__(entries, dim, dropout)
        self.pooling = pooling

    def forward(self, entries: Tensor) -> Tensor:
        """int64 (n, k), padded with 0 -> (n, d)."""
        mask = (entries != PAD).to(self.table.weight.dtype)  # (n, k)
        if self.training and self.dropout:
            mask = mask * (torch.rand(mask.shape) >= self.dropout)
        return pooled(self.table(entries), mask, self.pooling)

    def design(self, entries: Tensor) -> Tensor:
        """Weigh the entries: (n, FIRST + entries)."""
        counts = torch.zeros(len(entries), self.table.num_embeddings, dtype=self.table.weight.dtype)
        counts.scatter_add_(1, entries, torch.ones_like(entries, dtype=counts.dtype))
        counts[:, PAD] = 0.0
        return counts / DIVISORS[self.pooling](counts.sum(1, keepdim=True))

    def folded(self, weights: Tensor) -> nn.Module:
        """Weights (d, c)."""
        return ExportedBag(self.table.weight.detach() @ weights, self.pooling)


class Number(nn.Module):
    """Linear in `number_columns`; in training the value is missing with probability `dropout`.

    Args:
        dim: of what it gives.
        dropout: how often the value is hidden.
        knots: between which it may turn, so that the middle can differ from both ends; 0 for a straight line.
    """

    def __init__(self, dim: int, dropout: float, knots: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(2 + max(1, knots), dim, bias=False)
        nn.init.zeros_(self.linear.weight[:, 1])  # missing
        self.dropout = dropout
        shares = (torch.arange(knots) + 0.5) / max(1, knots)
        self.register_buffer("knots", torch.special.ndtri(shares))  # of a normal distribution

    def forward(self, values: Tensor) -> Tensor:
        """float32 (n, 2) -> (n, d)."""
        if self.training and self.dropout:
            hidden = torch.rand(len(values), 1) < self.dropout
            values = torch.where(hidden, torch.tensor([0.0, 1.0], dtype=values.dtype), values)
        embedded: Tensor = self.linear(self.design(values))
        return embedded

    def place_knots(self, values: Tensor) -> None:
        """Put the knots at quantiles of what is not missing of float32 (n, 2)."""
        given, knots = values[values[:, 1] != MISSING, 0], self.get_buffer("knots")
        if len(given) and len(knots):
            shares = torch.linspace(0.0, 1.0, len(knots), dtype=torch.float64)
            knots.copy_(given.double().quantile(shares))

    @property
    def entries(self) -> int:
        """Columns of the design."""
        return self.linear.in_features

    @property
    def dim(self) -> int:
        """Of what it gives."""
        return self.linear.out_features

    def design(self, values: Tensor) -> Tensor:
        """(n, entries)."""
        return number_columns(values, self.get_buffer("knots"))

    def weights(self) -> Tensor:
        """A copy, (entries, d)."""
        return self.linear.weight.detach().T.clone()

    def set_weights(self, weights: Tensor) -> None:
        """Weights (entries, d)."""
        self.linear.weight.data.copy_(weights.T)

    def folded(self, weights: Tensor) -> nn.Module:
        """Weights (d, c)."""
        return ExportedNumber(self.linear.weight.detach().T @ weights, self.get_buffer("knots"))


def number_columns(values: Tensor, knots: Tensor) -> Tensor:
    """[value, missing, how near the value is to each knot] of float32 (n, 2): (n, 2 + knots).

    The last ones are linear B-splines: 1 at their own knot, 0 at all others, their sum 1; all 0 if the value
    is missing, so that what is not sent says nothing. Without knots there is one for the whole line.

    Args:
        values: [value, missing].
        knots: rising, (k,).
    """
    number, missing = (
        values[:, 0].unsqueeze(1),
        values[:, 1].unsqueeze(1),
    )  # an export leaves slices' width free
    present = 1.0 - missing
    if not len(knots):
        return torch.cat([number, missing, present], dim=1)
    widths = (knots[1:] - knots[:-1]).clamp(min=NARROWEST)
    passed = ((number - knots[:-1]) / widths).clamp(0.0, 1.0)  # (n, k - 1), of each interval
    near = torch.cat([torch.ones_like(present), passed], 1) - torch.cat([passed, 0.0 * present], 1)
    return torch.cat([number, missing, near * present], dim=1)


class ExportedCategory(nn.Module):
    """A category's rows (FIRST + entries, c) in 8 bits a number."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.table = Int8Table(rows)

    def forward(self, index: Tensor) -> Tensor:
        """int64 (n, 1) -> (n, c)."""
        rows: Tensor = self.table(index)
        return rows[:, 0]


class ExportedBag(nn.Module):
    """A bag's rows (FIRST + entries, c) in 8 bits a number."""

    def __init__(self, rows: Tensor, pooling: BagPooling) -> None:
        super().__init__()
        self.table, self.pooling = Int8Table(rows), pooling

    def forward(self, entries: Tensor) -> Tensor:
        """int64 (n, k), padded with 0 -> (n, c)."""
        mask = (entries != PAD).to(self.table.scale.dtype)  # (n, k)
        return pooled(self.table(entries), mask, self.pooling)


class ExportedNumber(nn.Module):
    """A number's weights (2 + max(1, k), c), and its knots (k,)."""

    def __init__(self, weight: Tensor, knots: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("knots", knots)

    def forward(self, values: Tensor) -> Tensor:
        """float32 (n, 2) -> (n, c)."""
        return number_columns(values, self.get_buffer("knots")) @ self.get_buffer("weight")


def pooled(rows: Tensor, mask: Tensor, pooling: BagPooling) -> Tensor:
    """Rows (n, k, c), mask (n, k) of 0 and 1 -> (n, c)."""
    total = torch.matmul(mask.unsqueeze(1), rows).squeeze(1)  # (n, 1, k) @ (n, k, c) -> (n, c)
    return total / DIVISORS[pooling](mask.sum(1, keepdim=True))


FeatureEmbedding: TypeAlias = Category | Bag | Number


def natural_dim(spec: FeatureSpec) -> int:
    """As many dimensions as a user feature's entries can have directions, up to MOST_DIMENSIONS."""
    if spec.kind in ("number", "time"):
        return 2 + KNOTS
    columns = FIRST - 1 + len(spec.vocabulary)  # type: ignore[union-attr]  # all other kinds have one
    return min(columns, MOST_DIMENSIONS)


def feature_embedding(
    spec: FeatureSpec, feature: FeatureConfig, dim: int, knots: int = 0
) -> FeatureEmbedding:
    """Make the module that embeds a declared feature: its array -> (n, its own dim, or `dim`).

    Args:
        spec: as fitted.
        feature: as declared.
        dim: where the declaration has none.
        knots: of numbers.
    """
    dim = feature.dim or dim
    if spec.kind in ("number", "time"):
        return Number(dim, feature.dropout, knots)
    entries = len(spec.vocabulary)  # type: ignore[union-attr]  # all other kinds have one
    if spec.kind == "category":
        return Category(entries, dim, feature.dropout)
    return Bag(entries, dim, feature.dropout, feature.pooling)
