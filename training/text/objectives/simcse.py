"""Learning from texts alone, by dropout as the only difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from training.data.stream import RowNumbers
from training.metrics import MetricValue
from training.text import losses
from training.text.data.examples import TextExamples, TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.metrics import uniformity_values
from training.text.objectives.base import Loss, Objective, Value, Vectors
from training.text.objectives.copies import alike


class SimcseObjective(Objective["SimcseLoss"]):
    """Each text twice, each time through other dropout; the batch's other texts are the negatives.

    Source: Gao et al. 2021, arXiv 2104.08821, the unsupervised form.
    """

    key = "texts"

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.corpus]

    def _in_common(self, examples: TextExamples, rows: RowNumbers) -> str | None:
        return None if len(rows) > 1 else "none has another to be told from"

    def _batch(self, rows: RowNumbers, number: int, vectors: Vectors) -> Callable[[int], Value[SimcseLoss]]:
        (a,), (b,) = self._encoded(rows, vectors), self._encoded(rows, vectors)
        (keys,) = self._keys(rows)
        copies = alike(keys, keys)
        return lambda m: (
            lambda loss: losses.infonce(self._cut(a, m), self._cut(b, m), loss.temperature, alike=copies)
        )

    def _measure(self, rows: RowNumbers, vectors: Vectors) -> dict[str, MetricValue]:
        """`uniformity`: how evenly held-out texts are spread, see `uniformity_values`.

        It says nothing of meaning: choose by graded pairs where there are some.
        """
        (found,) = self._encoded(rows, vectors)
        return {"uniformity": MetricValue.of(uniformity_values(found.numpy()))}


class SimcseLoss(Loss):
    """Each text twice through dropout, with in-batch negatives."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    objective = SimcseObjective
    metrics = ("uniformity",)
    needs = "texts"
    needs_dropout = True
    contrasts = True
