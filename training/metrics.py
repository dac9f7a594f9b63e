"""A figure of merit with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Figure:
    """A mean over users, with its standard error."""

    mean: float
    standard_error: float


def figure(values: npt.NDArray[np.float64]) -> Figure:
    """Mean and standard error of per-user values."""
    spread = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return Figure(float(values.mean()), spread / len(values) ** 0.5)
