"""Losses, as functions of vectors. Each gives its formula and its source.

All return a scalar: the mean over the batch, but for CoSENT, whose formula is of the whole batch. Knows
nothing of texts, files or the loop.
"""

from training.losses.contrastive import Distance, infonce, triplet
from training.losses.denoising import reconstruction
from training.losses.distillation import Sides, cosine_distance, cross_similarity_kl, mse, similarity_kl
from training.losses.graded import cosent
from training.losses.items import bpr, sampled_softmax
from training.losses.labels import cross_entropy, full_softmax, supervised_contrast
from training.losses.matryoshka import mean_over

__all__ = [
    "Distance",
    "Sides",
    "bpr",
    "cosent",
    "cosine_distance",
    "cross_entropy",
    "cross_similarity_kl",
    "full_softmax",
    "infonce",
    "mean_over",
    "mse",
    "reconstruction",
    "sampled_softmax",
    "similarity_kl",
    "supervised_contrast",
    "triplet",
]
