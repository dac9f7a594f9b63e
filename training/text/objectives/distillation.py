"""Learning from a teacher's vectors of single texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bundle.preprocess import Prepared
from training.data.stream import RowNumbers
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines
from training.text.objectives.base import Loss, Objective, Sources, Value, Vectors
from training.text.objectives.copies import alike


class DistillationObjective(Objective["DistillationLoss"]):
    """Unlabelled texts and the teacher's vectors of them."""

    key = "texts"

    def __init__(self, chosen: Mapping[str, DistillationLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        assert sources.teacher is not None
        self._kept, self._targets = sources.tokens.corpus.kept, sources.teacher
        self._misspelt = sources.tokens.misspelt

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.corpus]

    def _batch(
        self, rows: RowNumbers, number: int, vectors: Vectors
    ) -> Callable[[int], Value[DistillationLoss]]:
        students, teachers = vectors(self._as_read(rows, number)), self._teachers(rows)
        (keys,) = self._keys(rows)
        copies = alike(keys, keys)

        def at(m: int) -> Value[DistillationLoss]:
            s, t = self._cut(students, m), self._cut(teachers, m)
            return lambda loss: loss.value(s, t, copies)

        return at

    def _as_read(self, rows: RowNumbers, number: int) -> list[Prepared]:
        """The texts of a batch, a part of them with the slips of its pass."""
        texts = self._texts[0].of(rows)
        if self._misspelt is None:
            return texts
        misspelt = self._misspelt(number // self.steps)
        random = np.random.default_rng([self._plan.seed, number])
        chosen = np.flatnonzero(random.random(len(rows)) < self._plan.misspelt)
        chosen = chosen[np.isin(rows[chosen], misspelt.kept)]  # a slip may leave no token
        for place, text in zip(chosen.tolist(), misspelt.of(rows[chosen]), strict=True):
            texts[place] = text
        return texts

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`teacher_cosine`: mean cosine to the teacher's vector; `misspelt_cosine`: of misspelt copies."""
        measured = {"teacher_cosine": self._nearness(self._texts[0], rows, vectors)}
        if self._misspelt is not None:
            misspelt = self._misspelt(0)
            kept = rows[np.isin(rows, misspelt.kept)]
            measured["misspelt_cosine"] = self._nearness(misspelt, kept, vectors)
        return measured

    def _nearness(self, texts: Tokenised, rows: RowNumbers, vectors: Vectors) -> MetricValue:
        students = vectors(texts.of(rows))
        return MetricValue.of(cosines(students.numpy(), self._teachers(rows).numpy()))

    def _teachers(self, rows: RowNumbers) -> Tensor:
        places = np.searchsorted(self._kept, rows)
        return torch.from_numpy(self._targets[places].astype(np.float32))


class DistillationLoss(Loss):
    """A loss of a student's vectors against its teacher's."""

    objective = DistillationObjective
    metrics = ("teacher_cosine",)
    follows_teacher = True

    @abstractmethod
    def value(self, students: Tensor, teachers: Tensor, copies: Tensor | None) -> Tensor:
        """The loss of a batch: students and teachers (n, m); `copies` as in `losses.infonce`."""


class CosineLoss(DistillationLoss):
    """1 - cosine to the teacher's vector."""

    def value(self, students: Tensor, teachers: Tensor, copies: Tensor | None) -> Tensor:
        return losses.cosine_distance(students, teachers)


class MseLoss(DistillationLoss):
    """The squared difference to the teacher's vector."""

    def value(self, students: Tensor, teachers: Tensor, copies: Tensor | None) -> Tensor:
        return losses.mse(students, teachers)


class TeacherInfonceLoss(DistillationLoss):
    """The teacher's vector of the same text against those of the batch's other texts."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    contrasts = True

    def value(self, students: Tensor, teachers: Tensor, copies: Tensor | None) -> Tensor:
        return losses.infonce(students, teachers, self.temperature, alike=copies)


class SimilarityKlLoss(DistillationLoss):
    """The batch's similarities as a distribution, against the teacher's."""

    temperature: Annotated[float, Field(gt=0)] = 0.1

    contrasts = True

    def value(self, students: Tensor, teachers: Tensor, copies: Tensor | None) -> Tensor:
        return losses.similarity_kl(students, teachers, self.temperature)
