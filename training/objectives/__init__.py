"""What a text encoder can learn from, one small class each.

Each holds its tokenised examples and knows its loss and its figure on examples that it holds out. They
share nothing but the encoder, so a run may have any of them together.
"""

from training.objectives.base import Objective, Plan, Vectors
from training.objectives.distillation import Distillation
from training.objectives.grades import Grades
from training.objectives.labels import Classification, SupervisedContrast
from training.objectives.pairs import PairsOfTexts, Triplets
from training.objectives.unlabelled import Denoising, SimCSE

__all__ = [
    "Classification",
    "Denoising",
    "Distillation",
    "Grades",
    "Objective",
    "PairsOfTexts",
    "Plan",
    "SimCSE",
    "SupervisedContrast",
    "Triplets",
    "Vectors",
]
