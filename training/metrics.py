"""The value of a metric, with how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric: a mean over users, queries or texts, with its standard error.

    Attributes:
        chosen: what was chosen on the way to it, on other data: a probe's l2.
    """

    mean: float
    standard_error: float
    chosen: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> MetricValue:
        """Mean and standard error of one value each."""
        spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return cls(float(values.mean()), spread / len(values) ** 0.5)
