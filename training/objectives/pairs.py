"""Learning from texts that belong together, with and without texts that do not."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from training import losses
from training.config import TextLossConfig
from training.data.tokenised import Tokenised
from training.metrics import cosines, first_hit_rate
from training.objectives.base import Plan, Split, Vectors


class Contrast:
    """Pairs that belong together; the batch's other pairs are the negatives.

    Args:
        first, second: the texts of the pairs, row by row.
        config: weight and temperature.
        plan: see there.
    """

    def __init__(self, first: Tokenised, second: Tokenised, config: TextLossConfig, plan: Plan) -> None:
        self._first, self._second, self._config, self._plan = first, second, config, plan
        self._split = Split([first, second], plan, "pairs")

    @property
    def steps(self) -> int:
        return self._split.steps

    def loss(self, step: int, vectors: Vectors) -> dict[str, Tensor]:
        numbers = self._split.batch(step)
        a, b = vectors(self._first.of(numbers)), vectors(self._second.of(numbers))
        weight, temperature = self._config.infonce, self._config.infonce_temperature
        return losses.mean_over(
            self._plan.dimensions,
            lambda m: {"infonce": weight * losses.infonce(a[:, :m], b[:, :m], temperature, symmetric=True)},
        )

    def evaluate(self, vectors: Vectors) -> dict[str, float]:
        """`pair_first_hit`: how often a text's own partner is nearest, among all held-out partners."""
        numbers = self._split.held_out
        a, b = vectors(self._first.of(numbers)), vectors(self._second.of(numbers))
        return {"pair_first_hit": first_hit_rate(a.numpy(), b.numpy())}


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
