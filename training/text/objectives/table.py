"""The table of losses of a text run: a row is the name of a table in [loss], and the class that owns it.

A new loss is a class and a row here. The order of the rows is the order in which losses are summed, and the
objective of the first one says how long an epoch is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from training.config.sections import Section
from training.text.objectives.base import Loss, Objective, Sources
from training.text.objectives.denoising import DenoisingLoss
from training.text.objectives.distillation import (
    CosineLoss,
    MseLoss,
    SimilarityKlLoss,
    TeacherInfonceLoss,
)
from training.text.objectives.graded import CosentLoss
from training.text.objectives.labels import CrossEntropyLoss, SupervisedContrastLoss
from training.text.objectives.pairs import InfonceLoss, PairSimilarityKlLoss
from training.text.objectives.simcse import SimcseLoss
from training.text.objectives.triplets import HardInfonceLoss, TripletLoss


class LossConfig(Section):
    """The losses of a text encoder, a weighted sum. Formulas and sources: `training.text.losses`."""

    cosine: CosineLoss | None = None
    mse: MseLoss | None = None
    teacher_infonce: TeacherInfonceLoss | None = None
    similarity_kl: SimilarityKlLoss | None = None
    simcse: SimcseLoss | None = None
    denoising: DenoisingLoss | None = None
    infonce: InfonceLoss | None = None
    pair_similarity_kl: PairSimilarityKlLoss | None = None
    triplet: TripletLoss | None = None
    hard_infonce: HardInfonceLoss | None = None
    cosent: CosentLoss | None = None
    cross_entropy: CrossEntropyLoss | None = None
    supervised_contrast: SupervisedContrastLoss | None = None

    former: ClassVar[Mapping[str, str]] = {
        "teacher_infonce_temperature": "[loss.teacher_infonce] temperature = {value}",
        "similarity_kl_temperature": "[loss.similarity_kl] temperature = {value}, "
        "and [loss.pair_similarity_kl] has its own",
        "simcse_temperature": "[loss.simcse] temperature = {value}",
        "denoising_deleted": "[loss.denoising] deleted = {value}",
        "denoising_width": "[loss.denoising] width = {value}",
        "infonce_temperature": "[loss.infonce] temperature = {value}, and [loss.hard_infonce] has its own",
        "pairs_per_step": "[train] pairs_per_step = {value}",
        "triplet_margin": "[loss.triplet] margin = {value}",
        "triplet_distance": "[loss.triplet] distance = {value}",
        "cosent_scale": "[loss.cosent] scale = {value}",
        "supervised_contrast_temperature": "[loss.supervised_contrast] temperature = {value}",
        "chunk_tokens": "[train] chunk_tokens = {value}",
    }

    def chosen(self) -> dict[str, Loss]:
        """The losses with a weight, by name."""
        rows: dict[str, Loss | None] = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: loss for name, loss in rows.items() if loss is not None and loss.weight}

    @classmethod
    def moved(cls, key: str) -> str | None:
        """Say how a key is written now; a weight was the value of its loss."""
        return f"[loss.{key}] weight = {{value}}" if key in cls.model_fields else super().moved(key)


def objectives_of(losses: Mapping[str, Loss], sources: Sources) -> list[Objective[Any]]:
    """Make the objectives of these losses, each with all that share it, in the order of the table."""
    sharing: dict[type[Objective[Any]], dict[str, Loss]] = {}
    for name, loss in losses.items():
        sharing.setdefault(type(loss).objective, {})[name] = loss
    return [objective(some, sources) for objective, some in sharing.items()]
