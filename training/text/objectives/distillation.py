"""Learning from a teacher's vectors of single texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from training.data.stream import RowNumbers
from training.text import losses
from training.text.data.examples import TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines
from training.text.objectives.base import Loss, Objective, Sources, Value, Vectors


class DistillationObjective(Objective["DistillationLoss"]):
    """Unlabelled texts and the teacher's vectors of them."""

    key = "texts"

    def __init__(self, chosen: Mapping[str, DistillationLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        assert sources.teacher is not None
        self._kept, self._targets = sources.tokens.corpus.kept, sources.teacher

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.corpus]

    def _batch(self, step: int, vectors: Vectors) -> Callable[[int], Value[DistillationLoss]]:
        rows = self._split.batch(step)
        (students,), teachers = self._encoded(rows, vectors), self._teachers(rows)

        def at(m: int) -> Value[DistillationLoss]:
            s, t = students[:, :m], teachers[:, :m]
            return lambda loss: loss.value(s, t)

        return at

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`teacher_cosine`: mean cosine to the teacher's vector."""
        rows = self._split.held_out
        (students,) = self._encoded(rows, vectors)
        return {"teacher_cosine": float(cosines(students.numpy(), self._teachers(rows).numpy()).mean())}

    def _teachers(self, rows: RowNumbers) -> Tensor:
        places = np.searchsorted(self._kept, rows)
        return torch.from_numpy(self._targets[places].astype(np.float32))


class DistillationLoss(Loss):
    """A loss of a student's vectors against its teacher's."""

    objective = DistillationObjective
    metric = "teacher_cosine"
    follows_teacher = True

    @abstractmethod
    def value(self, students: Tensor, teachers: Tensor) -> Tensor:
        """The loss of a batch: students and teachers (n, m)."""


class CosineLoss(DistillationLoss):
    """1 - cosine to the teacher's vector."""

    def value(self, students: Tensor, teachers: Tensor) -> Tensor:
        return losses.cosine_distance(students, teachers)


class MseLoss(DistillationLoss):
    """The squared difference to the teacher's vector."""

    def value(self, students: Tensor, teachers: Tensor) -> Tensor:
        return losses.mse(students, teachers)


class TeacherInfonceLoss(DistillationLoss):
    """The teacher's vector of the same text against those of the batch's other texts."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    def value(self, students: Tensor, teachers: Tensor) -> Tensor:
        return losses.infonce(students, teachers, self.temperature)


class SimilarityKlLoss(DistillationLoss):
    """The batch's similarities as a distribution, against the teacher's."""

    temperature: Annotated[float, Field(gt=0)] = 0.1

    def value(self, students: Tensor, teachers: Tensor) -> Tensor:
        return losses.similarity_kl(students, teachers, self.temperature)
