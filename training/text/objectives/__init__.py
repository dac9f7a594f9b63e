"""What a text encoder can learn from: a class for each loss, and one for the examples that it is taken of."""

from training.text.objectives.base import Loss, Objective, Plan, Sizes, Sources, Vectors, validate
from training.text.objectives.table import LossConfig, objectives_of

__all__ = [
    "Loss",
    "LossConfig",
    "Objective",
    "Plan",
    "Sizes",
    "Sources",
    "Vectors",
    "objectives_of",
    "validate",
]
