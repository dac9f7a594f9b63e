"""Learning from texts that belong together."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from training.data.holdout import Keys
from training.data.stream import RowNumbers
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import first_hits, reciprocal_ranks
from training.text.objectives.base import Loss, Objective, Sources, Value, Vectors
from training.text.objectives.copies import alike, own_texts, partners

SIDES = ("first", "second")
Targets: TypeAlias = tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]


@dataclass(frozen=True)
class PairBatch:
    """Encoded pairs.

    Attributes:
        a: vectors of the first texts (n, m).
        b: of the second ones (n, m).
        teachers: the teacher's vectors of both (n, d), if it is learned from.
        keys: of the first and of the second texts, (n,) each.
    """

    a: Tensor
    b: Tensor
    teachers: losses.Sides | None
    keys: tuple[Keys, Keys]


class PairObjective(Objective["PairLoss"]):
    """Pairs that belong together, by in-batch contrast, by what a teacher finds near, or by both.

    Batches of single texts hold like lengths, so those never set a question beside a long answer; here the
    teacher's similarities between the two sides of pairs are learned.
    """

    key = "pairs"

    def __init__(self, chosen: Mapping[str, PairLoss], sources: Sources) -> None:
        super().__init__(chosen, sources)
        self._targets: Targets | None = None
        if any(loss.follows_teacher for loss in chosen.values()):
            assert sources.teacher is not None
            self._targets = sources.examples.sides(sources.tokens.corpus.kept, sources.teacher)

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.pairs.first, tokens.pairs.second]

    def _batch_size(self) -> int:
        return self._plan.pairs_per_step

    def _in_common(self, examples: TextExamples, rows: RowNumbers) -> str | None:
        """Without a second text or a second partner, no example is a negative of another."""
        if not any(isinstance(loss, InfonceLoss) for loss in self._losses.values()):
            return None
        alike_in = [
            name for name, keys in zip(SIDES, self._keys(rows), strict=True) if (keys == keys[0]).all()
        ]
        return f"all have the same {alike_in[0]} text" if alike_in else None

    def _batch(self, rows: RowNumbers, number: int, vectors: Vectors) -> Callable[[int], Value[PairLoss]]:
        batch = self._pairs(rows, vectors)

        def at(m: int) -> Value[PairLoss]:
            cut = replace(batch, a=self._cut(batch.a, m), b=self._cut(batch.b, m))
            return lambda loss: loss.value(cut)

        return at

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """Measure what is learned over all pairs."""
        batch = self._pairs(rows, vectors)
        values = {name: of for loss in self._losses.values() for name, of in loss.measured(batch).items()}
        return {name: MetricValue.of(of) for name, of in values.items()}

    def _pairs(self, rows: RowNumbers, vectors: Vectors) -> PairBatch:
        (a, b), (first, second) = self._encoded(rows, vectors), self._keys(rows)
        return PairBatch(a, b, self._teachers(rows), (first, second))

    def _teachers(self, rows: RowNumbers) -> losses.Sides | None:
        if self._targets is None:
            return None
        first, second = (torch.from_numpy(side[rows].astype(np.float32)) for side in self._targets)
        return first, second


class PairLoss(Loss):
    """A loss of pairs."""

    objective = PairObjective

    @abstractmethod
    def value(self, batch: PairBatch) -> Tensor:
        """The loss of a batch."""

    @abstractmethod
    def measured(self, batch: PairBatch) -> Mapping[str, npt.NDArray[np.float64]]:
        """What each pair contributes to each metric, whose mean it is (n,)."""


class InfonceLoss(PairLoss):
    """Pairs, with in-batch negatives, both directions; copies of a text are no negatives of each other."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    metrics = ("pair_mrr@10", "pair_first_hit")
    needs = "pairs"
    contrasts = True

    def value(self, batch: PairBatch) -> Tensor:
        return losses.infonce(batch.a, batch.b, self.temperature, symmetric=True, alike=alike(*batch.keys))

    def measured(self, batch: PairBatch) -> Mapping[str, npt.NDArray[np.float64]]:
        """How near the nearest partner is among all second texts, in any pair; the text itself is left out.

        The reciprocal rank moves with every place. A hit does only with the first, so that over some hundred
        pairs it tells apart what is far apart.
        """
        first, second = batch.keys
        right = partners(first, second, second)
        asked = (batch.a.numpy(), batch.b.numpy(), right, own_texts(first, second) & ~right)
        return {"pair_mrr@10": reciprocal_ranks(*asked, at=10), "pair_first_hit": first_hits(*asked)}


class PairSimilarityKlLoss(PairLoss):
    """Similarities between the two sides of the batch's pairs, against the teacher's."""

    temperature: Annotated[float, Field(gt=0)] = 0.1

    metrics = ("pair_similarity",)
    needs = "pair_texts"
    follows_teacher = True
    contrasts = True

    def value(self, batch: PairBatch) -> Tensor:
        assert batch.teachers is not None
        return losses.cross_similarity_kl((batch.a, batch.b), batch.teachers, self.temperature)

    def measured(self, batch: PairBatch) -> Mapping[str, npt.NDArray[np.float64]]:
        """The divergence from the teacher's similarities, negative, so that larger is better."""
        assert batch.teachers is not None
        rows = losses.cross_similarity_rows((batch.a, batch.b), batch.teachers, self.temperature)
        return {"pair_similarity": -rows.double().numpy()}
