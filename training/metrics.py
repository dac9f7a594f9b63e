"""The value of a metric, with how sure it is, and what the held-out examples of a run say in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bundle.manifest import ERROR

Floats = npt.NDArray[np.float64]
BY_CHANCE = 0.05  # how often a run that learned nothing may be said to have learned something


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric: a mean over users, queries or texts, with its standard error.

    Attributes:
        mean: of the values.
        standard_error: of the mean.
        values: one for each user, query or text (n,), if they are known; two runs over the same are compared
            by the differences of these. No field, since they are neither written nor compared.
        chosen: what was chosen on the way to it, on other data: a probe's l2.
    """

    mean: float
    standard_error: float
    chosen: Mapping[str, float] = field(default_factory=dict)

    values: ClassVar[Floats | None] = None

    @classmethod
    def of(cls, values: Floats) -> MetricValue:
        """Mean and standard error of one value each."""
        spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        value = cls(float(values.mean()), spread / len(values) ** 0.5)
        object.__setattr__(value, "values", values)
        return value

    @property
    def n(self) -> int:
        """How many it is the mean of; 0 if that is not known."""
        return 0 if self.values is None else len(self.values)

    def minus(self, other: MetricValue) -> MetricValue:
        """The difference: paired, where both are of the same examples."""
        if self.values is not None and other.values is not None and self.n == other.n:
            return MetricValue.of(self.values - other.values)
        return MetricValue(self.mean - other.mean, (self.standard_error**2 + other.standard_error**2) ** 0.5)

    def is_above_chance(self, tries: int = 1) -> bool:
        """Whether a difference is above 0 by more than the best of so many tries would be by chance.

        One-sided, at 5 % for all tries together (Bonferroni), by the normal distribution.
        """
        limit = NormalDist().inv_cdf(1 - BY_CHANCE / max(1, tries))
        return self.mean > 0 and self.mean > limit * self.standard_error


def said(value: MetricValue) -> str:
    """The value with its standard error, as in 0.6125 ± 0.0125; without one where none is known."""
    return f"{value.mean:.4f}" + (f" ± {value.standard_error:.4f}" if value.n else "")


@dataclass(frozen=True)
class Validation:
    """What held-out examples say of a model.

    Attributes:
        metrics: by name, larger is better.
        loss: the run's loss over them, smaller is better; None if the task takes none.
    """

    metrics: Mapping[str, MetricValue]
    loss: float | None = None

    def row(self) -> dict[str, float]:
        """Name each number, for a log."""
        row = {name: value.mean for name, value in self.metrics.items()}
        row |= {name + ERROR: value.standard_error for name, value in self.metrics.items()}
        return row if self.loss is None else row | {VALIDATION_LOSS: self.loss}


VALIDATION_LOSS = "validation_loss"
