"""Learning from texts that belong together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from training.data.stream import RowNumbers
from training.text import losses
from training.text.data.examples import TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import first_hit_rate
from training.text.objectives.base import Loss, Objective, Sources, Value, Vectors

Targets: TypeAlias = tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]
Teachers: TypeAlias = losses.Sides | None


class PairObjective(Objective["PairLoss"]):
    """Pairs that belong together, by in-batch contrast, by what a teacher finds near, or by both.

    Batches of single texts hold like lengths, so those never set a question beside a long answer; here the
    teacher's similarities between the two sides of pairs are learned.
    """

    key = "pairs"

    def __init__(self, chosen: Mapping[str, PairLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        self._targets: Targets | None = None
        if any(loss.follows_teacher for loss in chosen.values()):
            assert sources.teacher is not None
            self._targets = sources.examples.sides(sources.tokens.corpus.kept, sources.teacher)

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.pairs.first, tokens.pairs.second]

    def _batch_size(self) -> int:
        return self._plan.pairs_per_step

    def _batch(self, step: int, vectors: Vectors) -> Callable[[int], Value[PairLoss]]:
        rows = self._split.batch(step)
        (a, b), teachers = self._encoded(rows, vectors), self._teachers(rows)

        def at(m: int) -> Value[PairLoss]:
            first, second = a[:, :m], b[:, :m]
            return lambda loss: loss.value(first, second, teachers)

        return at

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """Measure what is learned over all held-out pairs."""
        rows = self._split.held_out
        (a, b), teachers = self._encoded(rows, vectors), self._teachers(rows)
        return {loss.metric: loss.measured(a, b, teachers) for loss in self._losses.values()}

    def _teachers(self, rows: RowNumbers) -> Teachers:
        if self._targets is None:
            return None
        first, second = (torch.from_numpy(side[rows].astype(np.float32)) for side in self._targets)
        return first, second


class PairLoss(Loss):
    """A loss of pairs."""

    objective = PairObjective

    @abstractmethod
    def value(self, a: Tensor, b: Tensor, teachers: Teachers) -> Tensor:
        """The loss of a batch: a and b (n, m), the teacher's vectors of both."""

    @abstractmethod
    def measured(self, a: Tensor, b: Tensor, teachers: Teachers) -> float:
        """The metric of a and b (n, d)."""


class InfonceLoss(PairLoss):
    """Pairs, with in-batch negatives, both directions."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    metric = "pair_first_hit"
    needs = "pairs"

    def value(self, a: Tensor, b: Tensor, teachers: Teachers) -> Tensor:
        return losses.infonce(a, b, self.temperature, symmetric=True)

    def measured(self, a: Tensor, b: Tensor, teachers: Teachers) -> float:
        """The share of texts whose own partner is nearest."""
        return first_hit_rate(a.numpy(), b.numpy())


class PairSimilarityKlLoss(PairLoss):
    """Similarities between the two sides of the batch's pairs, against the teacher's."""

    temperature: Annotated[float, Field(gt=0)] = 0.1

    metric = "pair_similarity"
    needs = "pair_texts"
    follows_teacher = True

    def value(self, a: Tensor, b: Tensor, teachers: Teachers) -> Tensor:
        assert teachers is not None
        return losses.cross_similarity_kl((a, b), teachers, self.temperature)

    def measured(self, a: Tensor, b: Tensor, teachers: Teachers) -> float:
        """The divergence from the teacher's similarities, negative, so that larger is better."""
        return -float(self.value(a, b, teachers))
