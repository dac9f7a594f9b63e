"""Directions of vectors, with gradients that stay finite. n rows, d dimensions."""

from __future__ import annotations

from torch import Tensor
from torch.linalg import vector_norm

SHORTEST = 1e-6  # a shorter row has no direction: it is zero, and so is its gradient


def unit(vectors: Tensor) -> Tensor:
    """L2-normalise the rows; those shorter than 1e-6 become zero. (n, d) -> (n, d).

    The gradient of a direction grows as 1 / length: one zero row, divided by the usual epsilon of 1e-12, has
    a gradient of 1e12, and after clipping nothing else in the batch is learned.
    """
    lengths: Tensor = vector_norm(vectors, dim=-1, keepdim=True)  # (n, 1)
    return (vectors / lengths.clamp(min=SHORTEST)).masked_fill(lengths < SHORTEST, 0.0)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each pair of rows, 0 beside a zero row. (n, d), (n, d) -> (n,)."""
    return (unit(a) * unit(b)).sum(-1)
