"""The seam between a text run and what it learns from: a loss, and the objective that takes it.

    [loss.NAME] -> Loss, its settings and its formula -> Objective, its examples and their batches

A loss is one class, with a row in `training.text.objectives.table`. Losses that can be taken of the same
batch share an objective, so that the batch is encoded once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bundle.preprocess import Prepared
from training.config.sections import NotNegative, Section
from training.data.holdout import Keys
from training.data.stream import RowNumbers
from training.errors import ConfigError
from training.metrics import MetricValue, Validation
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.losses import mean_over, unit
from training.text.objectives.split import Split

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
        metrics: the validation metrics that it brings; larger is better.
        needs: the key of [data] that it learns from; None if a teacher's texts are enough.
        follows_teacher: whether it learns a teacher's vectors.
        needs_dropout: whether it tells two passes of a text apart by dropout alone.
        contrasts: whether it compares the examples of a batch, and learns nothing of one by itself.
    """

    weight: NotNegative = 1.0

    objective: ClassVar[type[Objective[Any]]]
    metrics: ClassVar[Sequence[str]]
    needs: ClassVar[str | None] = None
    follows_teacher: ClassVar[bool] = False
    needs_dropout: ClassVar[bool] = False
    contrasts: ClassVar[bool] = False

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
        normalized: whether vectors, whole and cut, are served L2-normalised.
        misspelt: share of a step's texts that are read misspelt, where a teacher is followed.
    """

    dimensions: Sequence[int]
    batch_size: int
    seed: int
    pairs_per_step: int
    normalized: bool
    misspelt: float = 0.0


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
        ConfigError: there are too few examples, or nothing tells them apart.
    """

    key: ClassVar[str]

    def __init__(self, chosen: Mapping[str, L], sources: Sources) -> None:
        self._losses, self._plan = chosen, sources.plan
        self._texts = self._parts(sources.tokens)
        self._split = Split(
            self._texts,
            self._batch_size(),
            self._plan.seed,
            key=self.key,
            classes=self._classes(sources.examples),
            given=sources.examples.validation.get(self.key),
        )
        alone = next((name for name, loss in chosen.items() if loss.contrasts), None)
        if alone is not None and self._split.batch_size == 1:
            raise ConfigError(
                f"loss.{alone} compares the examples of a batch, and data.{self.key} leaves "
                f"{len(self._split.learned)} to learn from, in batches of 1; give it more"
            )
        self._refuse_alike(sources.examples)

    def _refuse_alike(self, examples: TextExamples) -> None:
        """Refuse examples that are the same to every encoder, to learn from or to measure by."""
        for rows, purpose, way_out in (
            (self._split.learned, "to learn from", "is the right column read?"),
            (self._split.held_out, "to measure by", "give more, or files in [data.validation]"),
        ):
            if common := self._in_common(examples, rows):
                count = f"{len(rows):,} example" + ("s" if len(rows) > 1 else "")
                raise ConfigError(
                    f"data.{self.key}, {count} {purpose}: {common}, so all encoders are alike to them; "
                    f"{way_out}"
                )

    @abstractmethod
    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        """Choose the parts of an example, row by row."""

    def _batch_size(self) -> int:
        """Examples per step."""
        return self._plan.batch_size

    def _classes(self, examples: TextExamples) -> RowNumbers | None:
        """Classes of the examples, each of which is held out in its share."""
        return None

    def _in_common(self, examples: TextExamples, rows: RowNumbers) -> str | None:
        """Say what leaves nothing to tell apart in examples; None where something is."""
        return None

    @property
    def steps(self) -> int:
        """Batches in one pass over the examples."""
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> Terms:
        """Take the weighted losses of the batch at a step, counted from the start of training."""
        return self._terms(self._split.batch(step), step, vectors)

    def validate(self, vectors: Vectors) -> Validation:
        """Measure the held-out examples, and take their loss in batches as in training."""
        rows = self._split.held_out
        batches = np.array_split(rows, -(-len(rows) // self._split.batch_size))
        terms = [self._terms(batch, number, vectors) for number, batch in enumerate(batches)]
        sums = [len(batch) * sum(map(float, one.values())) for batch, one in zip(batches, terms, strict=True)]
        return Validation(self._measure(rows, vectors), sum(sums) / len(rows))

    def _terms(self, rows: RowNumbers, number: int, vectors: Vectors) -> Terms:
        at = self._batch(rows, number, vectors)
        return mean_over(self._plan.dimensions, lambda m: self._weighted(at(m)))

    @abstractmethod
    def _batch(self, rows: RowNumbers, number: int, vectors: Vectors) -> Callable[[int], Value[L]]:
        """Encode a batch, of which all that is random follows from its number.

        Returns how a loss is taken of it, by the dimensions that are kept.
        """

    @abstractmethod
    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """Measure examples: the metrics of the losses, larger is better."""

    def _weighted(self, value: Value[L]) -> Terms:
        return {name: loss.weight * value(loss) for name, loss in self._losses.items()}

    def _encoded(self, rows: RowNumbers, vectors: Vectors) -> list[Tensor]:
        """The vectors of each part of the examples, (n, d) each."""
        return [vectors(part.of(rows)) for part in self._texts]

    def _keys(self, rows: RowNumbers) -> list[Keys]:
        """The keys of each part of the examples, (n,) each: equal for equal texts."""
        return [part.keys_of(rows) for part in self._texts]

    def _cut(self, vectors: Tensor, dim: int) -> Tensor:
        """Keep the leading dimensions, as they are served: L2-normalised again. (n, d) -> (n, dim)."""
        return unit(vectors[:, :dim]) if self._plan.normalized else vectors[:, :dim]


def validate(
    objectives: Sequence[Objective[Any]], vectors: Vectors, others: Mapping[str, MetricValue]
) -> Validation:
    """Measure the held-out examples of all objectives; `others` are metrics of the run besides."""
    with torch.no_grad():
        each = [objective.validate(vectors) for objective in objectives]
    metrics = dict(others)
    for one in each:
        metrics |= one.metrics
    return Validation(metrics, sum(one.loss or 0.0 for one in each))


def zero_filled(vectors: Tensor, dim: int) -> Tensor:
    """Set all but the leading dimensions to 0, for what takes full-length vectors. -> (n, d)."""
    return torch.cat([vectors[:, :dim], torch.zeros_like(vectors[:, dim:])], dim=-1)
