"""The settings of a run that trains a user and an item tower."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.config.sections import (
    Fraction,
    Run,
    Section,
)
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.config.towers import TowersConfig


class RecommenderLossConfig(Section):
    """Part of a history is hidden from the user tower and asked for.

    Attributes:
        kind: `full_softmax` scores all items, up to some 50,000; `sampled_softmax` and `bpr` those that the
            other users of the batch took, and `uniform_negatives` more.
        uniform_negatives: items drawn with equal chances in each step.
        positive: whether the sampled softmax corrects the positive's score by logQ, too: `uncorrected` (as
            found right in 2025) or `corrected` (as first published: Yi et al. 2019).
        ask: `latest` asks for the newest entries, given the older ones; `random` for any.
        ask_share: smallest and largest share that is asked for, drawn anew for each user and step.
    """

    kind: Literal["full_softmax", "sampled_softmax", "bpr"] = "full_softmax"
    uniform_negatives: Annotated[int, Field(ge=0)] = 1000
    positive: Literal["uncorrected", "corrected"] = "uncorrected"
    ask: Literal["latest", "random"] = "latest"
    ask_share: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = [0.1, 0.9]

    @model_validator(mode="after")
    def _no_idle_option(self) -> RecommenderLossConfig:
        if self.kind == "full_softmax" and "uniform_negatives" in self.model_fields_set:
            raise ValueError("uniform_negatives says nothing about full_softmax; leave it out")
        if self.kind != "sampled_softmax" and "positive" in self.model_fields_set:
            raise ValueError(f"positive says nothing about {self.kind}; leave it out")
        return self


class RecommenderRun(Run):
    """A run that trains a user and an item tower; publishes NAME-user and NAME-item."""

    kind: Literal["recommender"]
    data: InteractionsConfig
    user: Annotated[list[FeatureConfig], Field(min_length=1)]
    item: Annotated[list[FeatureConfig], Field(min_length=1)]
    towers: TowersConfig = TowersConfig()
    loss: RecommenderLossConfig = RecommenderLossConfig()

    def model_names(self) -> list[str]:
        return [self.user_name, self.item_name]

    @property
    def user_name(self) -> str:
        """The published user tower's."""
        return f"{self.name}-user"

    @property
    def item_name(self) -> str:
        """The published item tower's."""
        return f"{self.name}-item"
