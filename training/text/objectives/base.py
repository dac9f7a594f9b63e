"""The seam between a text run and what it learns from: a loss, and the objective that takes it.

    [loss.NAME] -> Loss, its settings and its formula -> Objective, its examples and their batches

A loss is one class, with a row in `training.text.objectives.table`. Losses that can be taken of the same
batch share an objective, so that the batch is encoded once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle.preprocess import Prepared
from training.config.sections import NotNegative, Section
from training.data.stream import RowNumbers, Stream, held_out
from training.errors import ConfigError
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.losses import mean_over

Vectors: TypeAlias = Callable[[Sequence[Prepared]], Tensor]  # (n, d), with gradients in training
Terms: TypeAlias = dict[str, Tensor]  # name of a loss -> its weighted value


@dataclass(frozen=True)
class Sizes:
    """The sizes that a head depends on: the vector's, the vocabulary's, and the number of labels."""

    dim: int
    tokens: int
    classes: int


class Loss(Section):
    """One loss: its table in [loss], what it needs, and how it is learned.

    Attributes:
        weight: in the sum of the run's losses; 0 leaves it out.
        objective: its examples, and their batches.
        metric: the validation metric that it brings; larger is better.
        needs: the key of [data] that it learns from; None if a teacher's texts are enough.
        follows_teacher: whether it learns a teacher's vectors.
        needs_dropout: whether it tells two passes of a text apart by dropout alone.
    """

    weight: NotNegative = 1.0

    objective: ClassVar[type[Objective[Any]]]
    metric: ClassVar[str]
    needs: ClassVar[str | None] = None
    follows_teacher: ClassVar[bool] = False
    needs_dropout: ClassVar[bool] = False

    def head(self, sizes: Sizes) -> nn.Module | None:
        """Make what is trained beside the encoder, and thrown away after training. Raises ConfigError."""
        return None


@dataclass(frozen=True)
class Plan:
    """The plan that holds for every objective.

    Attributes:
        dimensions: lengths at which a loss is taken and averaged (Matryoshka), the full one first.
        batch_size: examples per step.
        seed: of the order and of what is held out.
        pairs_per_step: pairs per step.
    """

    dimensions: Sequence[int]
    batch_size: int
    seed: int
    pairs_per_step: int


@dataclass(frozen=True)
class Sources:
    """The data that objectives are made of.

    Attributes:
        examples: what the files hold.
        tokens: the same as tokens.
        teacher: the teacher's vectors of the texts that have tokens, float16 (n, d), leading dimensions
            first in importance, if it is learned from.
        specials: ids of special tokens.
        heads: name of a loss to what it trains beside the encoder.
    """

    examples: TextExamples
    tokens: TokenExamples
    teacher: npt.NDArray[np.float16] | None
    specials: Sequence[int]
    heads: Mapping[str, nn.Module]
    plan: Plan


L = TypeVar("L", bound=Loss)
Value: TypeAlias = Callable[[L], Tensor]  # a loss to its value for a batch


class Objective(ABC, Generic[L]):
    """Examples that are encoded together, and the losses that are taken of them.

    Args:
        chosen: the losses that share it, by name.
        sources: what a run has.

    Attributes:
        key: of [data], for messages.

    Raises:
        ConfigError: there are too few examples.
    """

    key: ClassVar[str]

    def __init__(self, chosen: Mapping[str, L], sources: Sources) -> None:
        self._losses, self._plan = chosen, sources.plan
        self._texts = self._parts(sources.tokens)
        self._split = Split(self._texts, self._batch_size(), self._plan.seed, self.key)

    @abstractmethod
    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        """Choose the parts of an example, row by row."""

    def _batch_size(self) -> int:
        """Examples per step."""
        return self._plan.batch_size

    @property
    def steps(self) -> int:
        """Batches in one pass over the examples."""
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> Terms:
        """Take the weighted losses of the batch at a step, counted from the start of training."""
        at = self._batch(step, vectors)
        return mean_over(self._plan.dimensions, lambda m: self._weighted(at(m)))

    @abstractmethod
    def _batch(self, step: int, vectors: Vectors) -> Callable[[int], Value[L]]:
        """Encode the batch of a step; return how a loss is taken of it, by the dimensions that are kept."""

    @abstractmethod
    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """Measure the held-out examples: the metrics of the losses, larger is better."""

    def _weighted(self, value: Value[L]) -> Terms:
        return {name: loss.weight * value(loss) for name, loss in self._losses.items()}

    def _encoded(self, rows: RowNumbers, vectors: Vectors) -> list[Tensor]:
        """The vectors of each part of the examples, (n, d) each."""
        return [vectors(part.of(rows)) for part in self._texts]


class Split:
    """Numbers of the examples that are whole: to learn from, in batches, and to measure.

    Args:
        texts: the parts of an example, row by row; one without a token leaves its example out.
        batch_size: examples per step.
        seed: of the order and of what is held out.
        key: of [data], for the message.

    Raises:
        ConfigError: there are fewer than two: one to learn from, one to measure.
    """

    def __init__(self, texts: Sequence[Tokenised], batch_size: int, seed: int, key: str) -> None:
        whole = reduce(np.intersect1d, [part.kept for part in texts])
        if len(whole) < 2:
            raise ConfigError(f"data.{key} has {len(whole)} usable examples; at least 2 are needed")
        rows, held = held_out(len(whole), seed)
        self.learned: RowNumbers = whole[rows]
        self.held_out: RowNumbers = whole[held]
        lengths = sum(part.lengths_of(self.learned) for part in texts)
        self._stream = Stream(np.asarray(lengths, dtype=np.int64), batch_size, seed)

    @property
    def steps(self) -> int:
        """Batches in one pass."""
        return self._stream.steps

    def batch(self, step: int) -> RowNumbers:
        """Numbers of the examples of a step."""
        return self.learned[self._stream.rows(step)]


def zero_filled(vectors: Tensor, dim: int) -> Tensor:
    """Set all but the leading dimensions to 0, for what takes full-length vectors. -> (n, d)."""
    return torch.cat([vectors[:, :dim], torch.zeros_like(vectors[:, dim:])], dim=-1)
