"""Learning from texts alone, by dropout as the only difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional as F

from training.text import losses
from training.text.data.examples import TokenExamples
from training.text.data.tokenised import Tokenised
from training.text.objectives.base import Loss, Objective, Value, Vectors


class SimcseObjective(Objective["SimcseLoss"]):
    """Each text twice, each time through other dropout; the batch's other texts are the negatives.

    Source: Gao et al. 2021, arXiv 2104.08821, the unsupervised form.
    """

    key = "texts"

    def _parts(self, tokens: TokenExamples) -> Sequence[Tokenised]:
        return [tokens.corpus]

    def _batch(self, step: int, vectors: Vectors) -> Callable[[int], Value[SimcseLoss]]:
        rows = self._split.batch(step)
        (a,), (b,) = self._encoded(rows, vectors), self._encoded(rows, vectors)
        return lambda m: lambda loss: losses.infonce(a[:, :m], b[:, :m], loss.temperature)

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`uniformity`: -log mean_{i != j} exp(-2 |v_i - v_j|^2), how evenly held-out texts are spread.

        0 if all are alike. It says nothing of meaning: choose by graded pairs where there are some.
        Source: Wang and Isola 2020, arXiv 2005.10242, eq. 2, with the sign turned.
        """
        (found,) = self._encoded(self._split.held_out, vectors)
        v = F.normalize(found, dim=-1)
        distances = (2 - 2 * v @ v.T)[~torch.eye(len(v), dtype=torch.bool)]  # squared
        return {"uniformity": float(-(-2 * distances).exp().mean().log()) if len(v) > 1 else 0.0}


class SimcseLoss(Loss):
    """Each text twice through dropout, with in-batch negatives."""

    temperature: Annotated[float, Field(gt=0)] = 0.05

    objective = SimcseObjective
    metric = "uniformity"
    needs = "texts"
    needs_dropout = True
