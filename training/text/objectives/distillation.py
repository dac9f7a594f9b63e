"""Learning from a teacher's vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.stream import Rows
from training.text import losses
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines
from training.text.objectives.base import Plan, Split, Vectors
from training.text.settings import TextLossConfig


class Distillation:
    """Unlabelled texts and the teacher's vectors of them.

    Args:
        corpus: the texts.
        targets: the teacher's vectors, float16 (n, d), leading dimensions first in importance.
        config: weights of the terms.
        plan: see there.
    """

    def __init__(
        self, corpus: Tokenised, targets: npt.NDArray[np.float16], config: TextLossConfig, plan: Plan
    ) -> None:
        self._corpus, self._targets, self._config, self._plan = corpus, targets, config, plan
        self._split = Split([corpus], plan, "texts")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        students, teachers = vectors(self._corpus.of(numbers)), self._teachers(numbers)
        return losses.mean_over(
            self._plan.dimensions, lambda m: self._terms(students[:, :m], teachers[:, :m])
        )

    def _terms(self, students: Tensor, teachers: Tensor) -> dict[str, Tensor]:
        config, terms = self._config, dict[str, Tensor]()
        if config.cosine:
            terms["cosine"] = config.cosine * losses.cosine_distance(students, teachers)
        if config.mse:
            terms["mse"] = config.mse * losses.mse(students, teachers)
        if config.teacher_infonce:
            temperature = config.teacher_infonce_temperature
            terms["teacher_infonce"] = config.teacher_infonce * losses.infonce(
                students, teachers, temperature
            )
        if config.similarity_kl:
            temperature = config.similarity_kl_temperature
            terms["similarity_kl"] = config.similarity_kl * losses.similarity_kl(
                students, teachers, temperature
            )
        return terms

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`teacher_cosine`: mean cosine to the teacher's vector."""
        numbers = self._split.held_out
        students = vectors(self._corpus.of(numbers)).numpy()
        return {"teacher_cosine": float(cosines(students, self._teachers(numbers).numpy()).mean())}

    def _teachers(self, numbers: Rows) -> Tensor:
        rows = np.searchsorted(self._corpus.kept, numbers)
        return torch.from_numpy(self._targets[rows].astype(np.float32))
