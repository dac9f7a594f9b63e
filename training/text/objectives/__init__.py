"""What a text encoder can learn from, one small class each.

Each holds its tokenised examples and knows its loss and its figure on examples that it holds out. They
share nothing but the encoder, so a run may have any of them together.
"""

from training.text.objectives.base import Objective, Plan, Vectors
from training.text.objectives.distillation import Distillation
from training.text.objectives.graded import Grades
from training.text.objectives.labels import Classification, SupervisedContrast
from training.text.objectives.pairs import PairsOfTexts, Triplets
from training.text.objectives.unlabelled import Denoising, SimCSE

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
