"""Losses that score a sample of the items: one target of each user, against the others' and uniform draws."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from bundle.preprocess.features.schema import FIRST
from training.errors import ConfigError
from training.recommender.losses import bpr, sampled_softmax
from training.recommender.objectives.base import ItemLoss, Step
from training.recommender.objectives.sampling import Sample, Sampler, scores_of, short_table
from training.recommender.objectives.targets import one_target


class SampledLoss(ItemLoss):
    """A loss of one target of each user against a sample.

    Attributes:
        uniform_negatives: items drawn with equal chances in each step, besides the batch's other targets.
    """

    uniform_negatives: Annotated[int, Field(ge=0)] = 1000

    def value(self, step: Step) -> Tensor:
        entries = step.entries
        places = one_target(step.targets, step.generator)
        positives = entries.gather(1, places.unsqueeze(1)).squeeze(1) - FIRST  # (n,)
        table, short = short_table(step.towers, step.known, step.shown)
        users = step.user_vectors(table, step.arrays, short)  # (n, d)
        sample = self.sample(positives, step)
        vectors = step.towers.item_vectors(*(array[sample.columns] for array in step.known))  # (c, d)
        positive, others = scores_of(users, vectors, sample.columns, entries)
        return self.of_scores(positive, others, sample)

    def sample(self, positives: Tensor, step: Step) -> Sample:
        """Draw the items to score: the targets (n,), and uniform draws."""
        return Sampler(step.shares, step.users, self.uniform_negatives).draw(positives, step.generator)

    def check_batch(self, users: int) -> None:
        if users == 1 and not self.uniform_negatives:
            raise ConfigError(
                "loss: a batch of one user has no other user's target for a negative, and uniform_negatives "
                "is 0, so nothing would be learned; make either larger"
            )

    @abstractmethod
    def of_scores(self, positive: Tensor, others: Tensor, sample: Sample) -> Tensor:
        """The loss of scores of the targets (n,) and of the sample (n, c), -inf for items that a user has."""


class SampledSoftmaxLoss(SampledLoss):
    """The softmax over a sample, corrected by how likely each item is in it (logQ).

    Attributes:
        positive: whether the target's own score is corrected, too: `uncorrected` (as found right in 2025) or
            `corrected` (as first published: Yi et al. 2019).
    """

    positive: Literal["uncorrected", "corrected"] = "uncorrected"

    def of_scores(self, positive: Tensor, others: Tensor, sample: Sample) -> Tensor:
        own = sample.log_expected[: len(positive)] if self.positive == "corrected" else None
        return sampled_softmax(positive, others, sample.log_expected, log_expected_positive=own)


class BprLoss(SampledLoss):
    """Each target above each item of the sample."""

    def of_scores(self, positive: Tensor, others: Tensor, sample: Sample) -> Tensor:
        return bpr(positive, others)
