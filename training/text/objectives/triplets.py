"""Learning from pairs with a hard negative each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field
from torch import Tensor

from training.data.stream import RowNumbers
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines
from training.text.objectives.base import Loss, Objective, Value, Vectors
from training.text.objectives.copies import alike

SAME_COSINE = 1e-6  # vectors of equal texts in differently padded batches are this far apart


class TripletObjective(Objective["TripletsLoss"]):
    """A text, its partner, and one that does not belong to them."""

    key = "triplets"

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.triplets.first, tokens.triplets.second, tokens.triplets.negative]

    def _in_common(self, examples: TextExamples, rows: RowNumbers) -> str | None:
        _, second, negative = self._keys(rows)
        return "all have their second text as the negative" if (second == negative).all() else None

    def _batch(self, rows: RowNumbers, number: int, vectors: Vectors) -> Callable[[int], Value[TripletsLoss]]:
        whole, copies = self._encoded(rows, vectors), alike(*self._keys(rows))

        def at(m: int) -> Value[TripletsLoss]:
            a, p, n = (self._cut(part, m) for part in whole)
            return lambda loss: loss.value(a, p, n, copies)

        return at

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`triplet_accuracy`: how often a text is nearer to its partner than to its negative, by cosine.

        As near is half a time, as it is by chance.
        """
        a, p, n = (part.numpy() for part in self._encoded(rows, vectors))
        nearer = cosines(a, p) - cosines(a, n)
        hits = np.where(np.abs(nearer) <= SAME_COSINE, 0.5, nearer > 0)
        return {"triplet_accuracy": MetricValue.of(np.where(np.isnan(nearer), np.nan, hits))}


class TripletsLoss(Loss):
    """A loss of triplets."""

    objective = TripletObjective
    metrics = ("triplet_accuracy",)
    needs = "triplets"

    @abstractmethod
    def value(self, anchors: Tensor, positives: Tensor, negatives: Tensor, copies: Tensor | None) -> Tensor:
        """The loss of a batch, (n, m) each; `copies` as in `losses.infonce`."""


class TripletLoss(TripletsLoss):
    """A margin between partner and negative.

    Attributes:
        margin: how much nearer than the negative the partner must be.
    """

    margin: Annotated[float, Field(gt=0)] = 0.2
    distance: losses.Distance = "cosine"

    def value(self, anchors: Tensor, positives: Tensor, negatives: Tensor, copies: Tensor | None) -> Tensor:
        return losses.triplet(anchors, positives, negatives, self.margin, distance=self.distance)


class HardInfonceLoss(TripletsLoss):
    """All the batch's texts as negatives, the hard ones among them."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    def value(self, anchors: Tensor, positives: Tensor, negatives: Tensor, copies: Tensor | None) -> Tensor:
        return losses.infonce(
            anchors, positives, self.temperature, symmetric=True, negatives=negatives, alike=copies
        )
