"""The seam between a text task and what it learns from, and the split that every objective makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from bundle.preprocess import Prepared
from training.data.stream import Rows, Stream, held_out
from training.errors import ConfigError
from training.text.data.tokenised import Tokenised

Vectors: TypeAlias = Callable[[Sequence[Prepared]], Tensor]  # (n, d), with gradients in training


class Objective(Protocol):
    """One thing to learn from."""

    @property
    def steps(self) -> int:
        """Batches in one pass over its examples."""
        ...

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        """The weighted terms for the batch at a step, counted from the start of training."""
        ...

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """The figure on the held-out examples, larger is better."""
        ...


@dataclass(frozen=True)
class Plan:
    """What every objective is told.

    Attributes:
        dimensions: lengths at which a loss is taken and averaged (Matryoshka), the full one first.
        batch_size: examples per step.
        seed: of the order and of what is held out.
    """

    dimensions: Sequence[int]
    batch_size: int
    seed: int


class Split:
    """Numbers of the examples that are whole: to learn from, in batches, and to judge by.

    Args:
        texts: the parts of an example, row by row; one without a token leaves its example out.
        plan: batch size and seed.
        key: of [data], for the message.

    Raises:
        ConfigError: there are fewer than two: one to learn from, one to judge by.
    """

    def __init__(self, texts: Sequence[Tokenised], plan: Plan, key: str) -> None:
        whole = reduce(np.intersect1d, [part.kept for part in texts])
        if len(whole) < 2:
            raise ConfigError(f"data.{key} has {len(whole)} usable examples; at least 2 are needed")
        rows, held = held_out(len(whole), plan.seed)
        self.learned: Rows = whole[rows]
        self.held_out: Rows = whole[held]
        lengths = sum(part.lengths_of(self.learned) for part in texts)
        self._stream = Stream(np.asarray(lengths, dtype=np.int64), plan.batch_size, plan.seed)

    @property
    def steps(self) -> int:
        """Batches in one pass."""
        return self._stream.steps

    def batch(self, step: int) -> Rows:
        """Numbers of the examples of a step."""
        return self.learned[self._stream.rows(step)]


def cut(vectors: Tensor, dim: int) -> Tensor:
    """All but the leading dimensions set to 0, for what takes full-length vectors. -> (n, d)."""
    return torch.cat([vectors[:, :dim], torch.zeros_like(vectors[:, dim:])], dim=-1)
