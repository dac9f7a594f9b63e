"""The losses of a recommender: a row is the name of a table in [loss], and the class that owns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from training.config.sections import Fraction, Section
from training.recommender.objectives.base import ItemLoss
from training.recommender.objectives.full_softmax import FullSoftmaxLoss
from training.recommender.objectives.sampled import BprLoss, SampledSoftmaxLoss


class RecommenderLossConfig(Section):
    """The loss: some items of a history, its targets, are hidden from the user tower and have to be found.

    One of the tables says how; without any it is `full_softmax`.

    Attributes:
        targets: `latest` for the newest entries, given the older ones; `random` for any.
        target_fraction: smallest and largest share of a history, drawn anew for each user and step.
    """

    targets: Literal["latest", "random"] = "latest"
    target_fraction: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = [0.1, 0.9]
    full_softmax: FullSoftmaxLoss | None = None
    sampled_softmax: SampledSoftmaxLoss | None = None
    bpr: BprLoss | None = None

    former: ClassVar[Mapping[str, str]] = {
        "kind": "a table of that name, for example [loss.sampled_softmax]",
        "uniform_negatives": "uniform_negatives = {value} in [loss.sampled_softmax] or [loss.bpr]",
        "positive": "[loss.sampled_softmax] positive = {value}",
        "ask": "targets = {value}",
        "ask_share": "target_fraction = {value}",
    }

    @model_validator(mode="after")
    def _fits(self) -> RecommenderLossConfig:
        low, high = self.target_fraction
        if low > high:
            raise ValueError(f"target_fraction = [{low}, {high}]: the smallest share comes first")
        if len(self._given()) > 1:
            raise ValueError(f"{' and '.join(self._given())} are two losses; choose one")
        return self

    @property
    def chosen(self) -> ItemLoss:
        """The one loss of the run."""
        return next(iter(self._given().values()), FullSoftmaxLoss())

    def _given(self) -> dict[str, ItemLoss]:
        rows = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: row for name, row in rows.items() if isinstance(row, ItemLoss)}
