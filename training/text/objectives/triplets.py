"""Learning from pairs with a hard negative each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor

from training.text import losses
from training.text.data.examples import TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines
from training.text.objectives.base import Loss, Objective, Value, Vectors


class TripletObjective(Objective["TripletsLoss"]):
    """A text, its partner, and one that does not belong to them."""

    key = "triplets"

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.triplets.first, tokens.triplets.second, tokens.triplets.negative]

    def _batch(self, step: int, vectors: Vectors) -> Callable[[int], Value[TripletsLoss]]:
        whole = self._encoded(self._split.batch(step), vectors)

        def at(m: int) -> Value[TripletsLoss]:
            a, p, n = (part[:, :m] for part in whole)
            return lambda loss: loss.value(a, p, n)

        return at

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`triplet_accuracy`: how often a text is nearer to its partner than to its negative, by cosine."""
        a, p, n = (part.numpy() for part in self._encoded(self._split.held_out, vectors))
        return {"triplet_accuracy": float((cosines(a, p) > cosines(a, n)).mean())}


class TripletsLoss(Loss):
    """A loss of triplets."""

    objective = TripletObjective
    metric = "triplet_accuracy"
    needs = "triplets"

    @abstractmethod
    def value(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """The loss of a batch, (n, m) each."""


class TripletLoss(TripletsLoss):
    """A margin between partner and negative.

    Attributes:
        margin: how much nearer than the negative the partner must be.
    """

    margin: Annotated[float, Field(gt=0)] = 0.2
    distance: losses.Distance = "cosine"

    def value(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        return losses.triplet(anchors, positives, negatives, self.margin, distance=self.distance)


class HardInfonceLoss(TripletsLoss):
    """All the batch's texts as negatives, the hard ones among them."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    def value(self, anchors: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        return losses.infonce(anchors, positives, self.temperature, symmetric=True, negatives=negatives)
