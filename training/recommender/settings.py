"""The settings of a run that trains a user and an item tower."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from training.config.sections import (
    Run,
)
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.config.towers import TowersConfig
from training.recommender.objectives import RecommenderLossConfig


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
