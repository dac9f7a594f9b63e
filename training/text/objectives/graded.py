"""Learning from pairs whose similarity people have graded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.text import losses
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines, spearman
from training.text.objectives.base import Plan, Split, Vectors
from training.text.settings import TextLossConfig


class Grades:
    """Graded pairs: what people find more alike shall have the larger cosine.

    Args:
        first, second: the texts of the pairs, row by row.
        scores: float64, one per original pair, on any scale.
        config: weight and sharpness.
        plan: see there.
    """

    def __init__(
        self,
        first: Tokenised,
        second: Tokenised,
        scores: npt.NDArray[np.float64],
        config: TextLossConfig,
        plan: Plan,
    ) -> None:
        self._first, self._second, self._scores = first, second, scores
        self._config, self._plan = config, plan
        self._split = Split([first, second], plan, "graded_pairs")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        a, b = vectors(self._first.of(numbers)), vectors(self._second.of(numbers))
        scores, config = torch.from_numpy(self._scores[numbers]), self._config
        return losses.mean_over(
            self._plan.dimensions,
            lambda m: {
                "cosent": config.cosent * losses.cosent(a[:, :m], b[:, :m], scores, config.cosent_scale)
            },
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`graded_spearman`: correlation of cosines and grades on held-out pairs."""
        numbers = self._split.held_out
        a, b = vectors(self._first.of(numbers)).numpy(), vectors(self._second.of(numbers)).numpy()
        return {"graded_spearman": spearman(cosines(a, b), self._scores[numbers])}
