"""Learning from labelled texts: through a head, or by bringing texts of one label together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import nn

from training.data.stream import RowNumbers
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.labels import tell_unmeasured
from training.text.data.tokenised import Tokenised
from training.text.metrics import first_hits
from training.text.objectives.base import (
    L,
    Loss,
    Objective,
    Sizes,
    Sources,
    Value,
    Vectors,
    zero_filled,
)

NEIGHBOURS = 1000  # learned texts among which a held-out one finds its nearest


class LabelsObjective(Objective[L]):
    """Labelled texts, each label held out in its share."""

    key = "labels"

    def __init__(self, chosen: Mapping[str, L], sources: Sources) -> None:
        super().__init__(chosen, sources)
        labelled = sources.examples.labelled
        self._labels = torch.from_numpy(labelled.labels)
        tell_unmeasured(labelled, self._split.learned, self._split.held_out)

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.labelled]

    def _classes(self, examples: TextExamples) -> RowNumbers:
        return examples.labelled.labels


class ClassificationObjective(LabelsObjective["CrossEntropyLoss"]):
    """Labelled texts, through a linear head.

    At a shorter length the head's leading columns are used (MRL-E of Kusupati et al. 2022, arXiv 2205.13147).
    """

    def __init__(self, chosen: Mapping[str, CrossEntropyLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        (name,) = chosen
        self._head = sources.heads[name]  # (d) -> (classes)

    def _batch(
        self, rows: RowNumbers, number: int, vectors: Vectors
    ) -> Callable[[int], Value[CrossEntropyLoss]]:
        (found,), labels, head = self._encoded(rows, vectors), self._labels[rows], self._head
        return lambda m: lambda loss: losses.cross_entropy(head(zero_filled(found, m)), labels)

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`accuracy`: of the head."""
        (found,) = self._encoded(rows, vectors)
        right = self._head(found).argmax(-1) == self._labels[rows]
        return {"accuracy": MetricValue.of(right.double().numpy())}


class CrossEntropyLoss(Loss):
    """Labels, through a linear head that is thrown away."""

    objective = ClassificationObjective
    metrics = ("accuracy",)
    needs = "labels"

    def head(self, sizes: Sizes) -> nn.Module:
        if not sizes.classes:
            raise ConfigError("data.labels has no examples")
        return nn.Linear(sizes.dim, sizes.classes)


class SupervisedContrastObjective(LabelsObjective["SupervisedContrastLoss"]):
    """Labelled texts: those of a label nearer to each other than to all others of the batch.

    A batch should be several times larger than there are labels.
    """

    def _batch(
        self, rows: RowNumbers, number: int, vectors: Vectors
    ) -> Callable[[int], Value[SupervisedContrastLoss]]:
        (found,), (keys,) = self._encoded(rows, vectors), self._keys(rows)
        labels, texts = self._labels[rows], torch.from_numpy(keys.view(np.int64))
        return lambda m: (
            lambda loss: losses.supervised_contrast(
                self._cut(found, m), labels, loss.temperature, texts=texts
            )
        )

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`neighbour_accuracy`: how often the nearest of 1000 learned texts has a held-out text's label."""
        learned = self._split.learned
        known = learned[:: max(1, len(learned) // NEIGHBOURS)][:NEIGHBOURS]
        (a,), (b,) = self._encoded(rows, vectors), self._encoded(known, vectors)
        right = self._labels[rows].unsqueeze(1) == self._labels[known].unsqueeze(0)  # (n, known)
        hits = first_hits(a.numpy(), b.numpy(), right.numpy(), np.zeros(right.shape, dtype=bool))
        return {"neighbour_accuracy": MetricValue.of(hits)}


class SupervisedContrastLoss(Loss):
    """Labels, each text against those of others."""

    temperature: Annotated[float, Field(gt=0)] = 0.1

    objective = SupervisedContrastObjective
    metrics = ("neighbour_accuracy",)
    contrasts = True
    needs = "labels"
