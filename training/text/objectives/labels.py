"""Learning from labelled texts: through a head, or by bringing texts of one label together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.text import losses
from training.text.data.tokenised import Tokenised
from training.text.objectives.base import Plan, Split, Vectors, cut
from training.text.settings import TextLossConfig

NEIGHBOURS = 1000  # learned texts among which a held-out one finds its nearest


class Classification:
    """Labelled texts, through a linear head that is thrown away after training.

    At a shorter length the head's leading columns are used (MRL-E of Kusupati et al. 2022, arXiv 2205.13147).

    Args:
        texts: the texts.
        labels: int64, one per original text.
        head: (d) -> (classes); trained with the encoder.
        config: the weight.
        plan: see there.
    """

    def __init__(
        self,
        texts: Tokenised,
        labels: npt.NDArray[np.int64],
        head: nn.Linear,
        config: TextLossConfig,
        plan: Plan,
    ) -> None:
        self._texts, self._labels, self._head = texts, torch.from_numpy(labels), head
        self._weight, self._plan = config.cross_entropy, plan
        self._split = Split([texts], plan, "labels")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        found, labels = vectors(self._texts.of(numbers)), self._labels[numbers]
        return losses.mean_over(
            self._plan.dimensions,
            lambda m: {
                "cross_entropy": self._weight * losses.cross_entropy(self._head(cut(found, m)), labels)
            },
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`accuracy`: of the head."""
        numbers = self._split.held_out
        scores = self._head(vectors(self._texts.of(numbers)))
        return {"accuracy": float((scores.argmax(-1) == self._labels[numbers]).float().mean())}


class SupervisedContrast:
    """Labelled texts: those of a label nearer to each other than to all others of the batch.

    A batch should be several times larger than there are labels.

    Args:
        texts: the texts.
        labels: int64, one per original text.
        config: weight and temperature.
        plan: see there.
    """

    def __init__(
        self, texts: Tokenised, labels: npt.NDArray[np.int64], config: TextLossConfig, plan: Plan
    ) -> None:
        self._texts, self._labels = texts, torch.from_numpy(labels)
        self._config, self._plan = config, plan
        self._split = Split([texts], plan, "labels")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        found, labels = vectors(self._texts.of(numbers)), self._labels[numbers]
        weight = self._config.supervised_contrast
        temperature = self._config.supervised_contrast_temperature
        return losses.mean_over(
            self._plan.dimensions,
            lambda m: {
                "supervised_contrast": weight * losses.supervised_contrast(found[:, :m], labels, temperature)
            },
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`neighbour_accuracy`: how often the nearest of 1000 learned texts has a held-out text's label."""
        learned, held = self._split.learned, self._split.held_out
        known = learned[:: max(1, len(learned) // NEIGHBOURS)][:NEIGHBOURS]
        a, b = (F.normalize(vectors(self._texts.of(some)), dim=-1) for some in (held, known))
        nearest = self._labels[known][(a @ b.T).argmax(-1)]
        return {"neighbour_accuracy": float((nearest == self._labels[held]).float().mean())}
