"""Learning from pairs whose similarity people have scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from training.text import losses
from training.text.data.examples import TokenPairs
from training.text.metrics import cosines, spearman
from training.text.objectives.base import Loss, Objective, Plan, Sources, Value, Vectors


class GradedObjective(Objective["CosentLoss"]):
    """Pairs with similarity scores: what people find more alike shall have the larger cosine.

    Args:
        chosen: the losses, by name.
        pairs: the texts, row by row.
        scores: float64, one per original pair, on any scale.
        plan: lengths, batch size and seed.
    """

    def __init__(
        self,
        chosen: Mapping[str, CosentLoss],
        pairs: TokenPairs,
        scores: npt.NDArray[np.float64],
        plan: Plan,
    ) -> None:
        super().__init__(chosen, [pairs.first, pairs.second], plan, "graded_pairs")
        self._scores = scores

    @classmethod
    def of(cls, chosen: Mapping[str, CosentLoss], sources: Sources) -> GradedObjective:
        return cls(chosen, sources.tokens.graded, sources.examples.graded.scores, sources.plan)

    def _batch(self, step: int, vectors: Vectors) -> Callable[[int], Value[CosentLoss]]:
        rows = self._split.batch(step)
        (a, b), scores = self._encoded(rows, vectors), torch.from_numpy(self._scores[rows])
        return lambda m: lambda loss: losses.cosent(a[:, :m], b[:, :m], scores, loss.scale)

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`graded_spearman`: correlation of cosines and scores on held-out pairs."""
        rows = self._split.held_out
        a, b = (side.numpy() for side in self._encoded(rows, vectors))
        return {"graded_spearman": spearman(cosines(a, b), self._scores[rows])}


class CosentLoss(Loss):
    """ScoredPairs pairs, by their order.

    Attributes:
        scale: its sharpness.
    """

    scale: Annotated[float, Field(gt=0)] = 20.0

    objective = GradedObjective
    metric = "graded_spearman"
    needs = "graded_pairs"
