"""What the two towers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from training.config.sections import (
    HiddenConfig,
    NotNegative,
    Positive,
    Section,
)


class InitialisationConfig(Section):
    """Start the towers at EASE's solution, cut to their width (`encoders.initialisation`).

    It solves for every pair of items, so up to 20,000 of them.

    Attributes:
        ease_lambda: its regularisation.
        scale: of the scores, whose softmax the training starts from.
        content_weight: of the items' texts in the item-item structure; 0 for none.
        popularity: weight of an item's late popularity (log, standardised) in its bias.
        content_ridge: regularisation of the regression that divides it between content and ids; without it,
            what says most of items that are left out is chosen.
    """

    ease_lambda: Annotated[float, Field(gt=0)] = 1000.0
    scale: Annotated[float, Field(gt=0)] = 100.0
    content_weight: NotNegative = 0.0
    popularity: NotNegative = 0.0
    content_ridge: Annotated[float | None, Field(gt=0)] = None


class SequenceConfig(Section):
    """The part that reads the order of a history, beside the recency-weighted pool (`encoders.sequence`).

    Attributes:
        kind: self-attention (SASRec) or a GRU.
        dim: of its vectors.
        length: how many of the newest entries it reads.
        heads: of attention.
        layers: of attention.
        rate: times the learning rate: it has all to learn, where the rest may start at a closed form.
    """

    kind: Literal["attention", "gru"]
    dim: Positive = 64
    length: Positive = 32
    heads: Positive = 2
    layers: Positive = 1
    rate: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _fits(self) -> SequenceConfig:
        if self.kind == "gru":
            for option in self.changed(("heads", "layers")):
                raise ValueError(f"{option} says nothing about a gru; leave it out")
        elif self.dim % self.heads:
            raise ValueError(f"dim = {self.dim} cannot be split among {self.heads} heads")
        return self


class TowersConfig(Section):
    """The pair of towers.

    Attributes:
        item_dim: width of the item inputs that both towers share.
        half_lives_days: start of the learned recency weighting of a history, mixed if several; without one,
            all entries weigh alike.
        sequence: what reads the order of a history as well; nothing, if not given.
        initialisation: where the weights start; random if not given.
        user, item: hidden layers of each tower; `output_dim` must be the same.
        item_bias: an item's popularity as one more dimension, against a constant 1 of the user.
    """

    item_dim: Positive = 256
    half_lives_days: list[Annotated[float, Field(gt=0)]] = []
    sequence: SequenceConfig | None = None
    initialisation: InitialisationConfig | None = None
    user: HiddenConfig = HiddenConfig()
    item: HiddenConfig = HiddenConfig()
    item_bias: bool = True

    former: ClassVar[Mapping[str, str]] = {"start": "[towers.initialisation], with the same settings"}
