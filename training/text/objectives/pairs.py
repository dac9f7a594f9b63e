"""Learning from texts that belong together, with and without texts that do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.stream import Rows
from training.text import losses
from training.text.data.tokenised import Tokenised
from training.text.metrics import cosines, first_hit_rate
from training.text.objectives.base import Plan, Split, Vectors
from training.text.settings import TextLossConfig

Targets: TypeAlias = tuple[npt.NDArray[np.float16], npt.NDArray[np.float16]]


class PairsOfTexts:
    """Pairs that belong together, by in-batch contrast, by what a teacher finds near, or by both.

    Batches of single texts hold like lengths, so those never set a question beside a long answer; here the
    teacher's similarities between the two sides of pairs are learned.

    Args:
        first, second: the texts of the pairs, row by row.
        targets: the teacher's vectors of both sides, float16 (pairs, d) each, if it is learned from.
        config: weights and temperatures.
        plan: see there.
    """

    def __init__(
        self, first: Tokenised, second: Tokenised, targets: Targets | None, config: TextLossConfig, plan: Plan
    ) -> None:
        self._first, self._second, self._targets = first, second, targets
        self._config = config
        self._plan = replace(plan, batch_size=config.pairs_per_step or plan.batch_size)
        self._split = Split([first, second], self._plan, "pairs")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        a, b = vectors(self._first.of(numbers)), vectors(self._second.of(numbers))
        teachers = self._teachers(numbers)
        return losses.mean_over(self._plan.dimensions, lambda m: self._terms(a[:, :m], b[:, :m], teachers))

    def _terms(self, a: Tensor, b: Tensor, teachers: losses.Sides | None) -> dict[str, Tensor]:
        config, terms = self._config, dict[str, Tensor]()
        if config.infonce:
            terms["infonce"] = config.infonce * losses.infonce(
                a, b, config.infonce_temperature, symmetric=True
            )
        if teachers is not None:
            terms["pair_similarity_kl"] = config.pair_similarity_kl * losses.cross_similarity_kl(
                (a, b), teachers, config.similarity_kl_temperature
            )
        return terms

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """The figures of what is learned, over all held-out pairs.

        `pair_first_hit`: how often a text's own partner is nearest. `pair_similarity`: the divergence from
        the teacher's similarities, negative, so that larger is better.
        """
        numbers, figures = self._split.held_out, dict[str, float]()
        a, b = vectors(self._first.of(numbers)), vectors(self._second.of(numbers))
        if self._config.infonce:
            figures["pair_first_hit"] = first_hit_rate(a.numpy(), b.numpy())
        teachers = self._teachers(numbers)
        if teachers is not None:
            temperature = self._config.similarity_kl_temperature
            figures["pair_similarity"] = -float(losses.cross_similarity_kl((a, b), teachers, temperature))
        return figures

    def _teachers(self, numbers: Rows) -> losses.Sides | None:
        if self._targets is None:
            return None
        first, second = (torch.from_numpy(side[numbers].astype(np.float32)) for side in self._targets)
        return first, second


class ThreeTexts(Protocol):
    """A text, its partner, and one that does not belong to them, row by row."""

    @property
    def first(self) -> Tokenised: ...

    @property
    def second(self) -> Tokenised: ...

    @property
    def negative(self) -> Tokenised: ...


class Triplets:
    """Pairs with a hard negative each: by a margin, by InfoNCE over all of the batch's texts, or by both.

    Args:
        texts: the triplets.
        config: weights, margin, distance and temperature.
        plan: see there.
    """

    def __init__(self, texts: ThreeTexts, config: TextLossConfig, plan: Plan) -> None:
        self._parts = (texts.first, texts.second, texts.negative)
        self._config, self._plan = config, plan
        self._split = Split(self._parts, plan, "triplets")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        a, p, n = (vectors(part.of(numbers)) for part in self._parts)
        return losses.mean_over(self._plan.dimensions, lambda m: self._terms(a[:, :m], p[:, :m], n[:, :m]))

    def _terms(self, a: Tensor, p: Tensor, n: Tensor) -> dict[str, Tensor]:
        config, terms = self._config, dict[str, Tensor]()
        if config.triplet:
            terms["triplet"] = config.triplet * losses.triplet(
                a, p, n, config.triplet_margin, distance=config.triplet_distance
            )
        if config.hard_infonce:
            terms["hard_infonce"] = config.hard_infonce * losses.infonce(
                a, p, config.infonce_temperature, symmetric=True, negatives=n
            )
        return terms

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`triplet_accuracy`: how often a text is nearer to its partner than to its negative, by cosine."""
        a, p, n = (vectors(part.of(self._split.held_out)).numpy() for part in self._parts)
        return {"triplet_accuracy": float((cosines(a, p) > cosines(a, n)).mean())}
