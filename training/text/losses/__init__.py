"""Losses, as functions of vectors. Each gives its formula and its source.

All return a scalar: the mean over the batch, but for CoSENT, whose formula is of the whole batch. Knows
nothing of texts, files or the loop.
"""

from training.losses.labels import cross_entropy, supervised_contrast
from training.losses.unit import unit
from training.text.losses.contrastive import Distance, infonce, triplet
from training.text.losses.denoising import reconstruction
from training.text.losses.distillation import (
    Sides,
    cosine_distance,
    cross_similarity_kl,
    cross_similarity_rows,
    mse,
    similarity_kl,
)
from training.text.losses.graded import cosent
from training.text.losses.matryoshka import mean_over

__all__ = [
    "Distance",
    "Sides",
    "cosent",
    "cosine_distance",
    "cross_entropy",
    "cross_similarity_kl",
    "cross_similarity_rows",
    "infonce",
    "mean_over",
    "mse",
    "reconstruction",
    "similarity_kl",
    "supervised_contrast",
    "triplet",
    "unit",
]
