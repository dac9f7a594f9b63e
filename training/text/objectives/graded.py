"""Learning from pairs whose similarity people have scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field

from training.data.stream import RowNumbers
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines, spearman_values
from training.text.objectives.base import Loss, Objective, Sources, Value, Vectors


class GradedObjective(Objective["CosentLoss"]):
    """Pairs with similarity scores: what people find more alike shall have the larger cosine."""

    key = "graded_pairs"

    def __init__(self, chosen: Mapping[str, CosentLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        self._scores = sources.examples.graded.scores  # one per original pair

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.graded.first, tokens.graded.second]

    def _in_common(self, examples: TextExamples, rows: RowNumbers) -> str | None:
        scores = examples.graded.scores[rows]
        return f"all have the score {scores[0]:g}" if (scores == scores[0]).all() else None

    def _batch(self, rows: RowNumbers, number: int, vectors: Vectors) -> Callable[[int], Value[CosentLoss]]:
        (a, b), scores = self._encoded(rows, vectors), torch.from_numpy(self._scores[rows])
        return lambda m: lambda loss: losses.cosent(self._cut(a, m), self._cut(b, m), scores, loss.scale)

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`graded_spearman`: correlation of cosines and scores on held-out pairs."""
        a, b = (side.numpy() for side in self._encoded(rows, vectors))
        return {"graded_spearman": MetricValue.of(spearman_values(cosines(a, b), self._scores[rows]))}


class CosentLoss(Loss):
    """ScoredPairs pairs, by their order.

    Attributes:
        scale: its sharpness.
    """

    scale: Annotated[float, Field(gt=0)] = 20.0

    objective = GradedObjective
    metrics = ("graded_spearman",)
    contrasts = True
    needs = "graded_pairs"
