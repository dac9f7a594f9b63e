"""What the two towers are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from training.config.sections import (
    HiddenConfig,
    Positive,
    Section,
)


class InitialisationConfig(Section):
    """Start the towers at a closed form, cut to their width (`encoders.initialisation`).

    What is left out is chosen by users that it is not computed from (`choice`), and so are the half-lives and
    the widths of `[towers]`. It solves for every pair of items, so up to 20,000 of them.

    Attributes:
        ease_lambda: EASE's regularisation.
        content_weight: of the items' texts in the item-item structure; 0 for none.
        itemcf: share of ItemCF in it; EASE has the rest.
        shrink: of ItemCF's cosine, in users.
        popularity_power: how much less popular items count in it: their users to this power, both ways.
        popularity: weight of an item's late popularity (log, standardised) beside the structure, whose rows
            have norm 1 on average.
        scale: of the scores, whose softmax the training starts from.
        content_ridge: regularisation of the regression that divides it between content and ids.
        content_own: what having an item says of items with its very content, beside the structure. Both are
            chosen by how items that are left out are ranked.
    """

    ease_lambda: Annotated[float | None, Field(gt=0)] = None
    content_weight: Annotated[float | None, Field(ge=0)] = None
    itemcf: Annotated[float | None, Field(ge=0, le=1)] = None
    shrink: Annotated[float | None, Field(ge=0)] = None
    popularity_power: Annotated[float | None, Field(ge=-1, le=1)] = None
    popularity: Annotated[float | None, Field(ge=0)] = None
    scale: Annotated[float | None, Field(gt=0)] = None
    content_ridge: Annotated[float | None, Field(gt=0)] = None
    content_own: Annotated[float | None, Field(ge=0)] = None


class RecentConfig(Section):
    """How popular an item is now, in one component of its vector, which is refreshed without training.

    The component is the last one, where every user's vector has 1. The item encoder takes the number as a
    feature: how many users took the item in the last days. Of a known item that comes without it, it is what
    training knew; of others it is 0.

    Attributes:
        name: of the feature.
        days: that are the last ones; chosen by a split in time, if not given.
        weight: of log(1 + users) beside the structure's scores; chosen likewise. 0 leaves the feature out.
    """

    name: str = "recent"
    days: Positive | None = None
    weight: Annotated[float | None, Field(ge=0)] = None


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

    With `initialisation`, what is left out of `item_dim`, `half_lives_days`, `unweighted`, `user` and `item`
    is chosen.

    Attributes:
        item_dim: width of the item inputs that both towers share; 256.
        half_lives_days: start of the learned recency weighting of a history, mixed if several; without one,
            all entries weigh alike.
        unweighted: whether a history is read a second time, all entries alike, for what is not a matter of
            now; it needs half-lives.
        sequence: what reads the order of a history as well; nothing, if not given.
        initialisation: where the weights start; random if not given.
        recent: a component for what is popular now; none, if not given. It needs `initialisation`.
        user, item: hidden layers of each tower; `output_dim` must be the same.
        item_bias: an item's popularity as one more dimension, against a constant 1 of the user.
    """

    item_dim: Positive | None = None
    half_lives_days: list[Annotated[float, Field(gt=0)]] | None = None
    unweighted: bool | None = None
    sequence: SequenceConfig | None = None
    initialisation: InitialisationConfig | None = None
    recent: RecentConfig | None = None
    user: HiddenConfig | None = None
    item: HiddenConfig | None = None
    item_bias: bool = True

    former: ClassVar[Mapping[str, str]] = {"start": "[towers.initialisation], with the same settings"}

    @model_validator(mode="after")
    def _fits(self) -> TowersConfig:
        if self.recent is not None and not (self.initialisation and self.item_bias):
            raise ValueError("recent needs [towers.initialisation] and item_bias")
        if self.unweighted and (
            self.half_lives_days == [] or not (self.half_lives_days or self.initialisation)
        ):
            raise ValueError("unweighted reads a history a second time beside half_lives_days; give some")
        return self

    @property
    def width(self) -> int:
        """Of the item inputs."""
        return self.item_dim or 256

    @property
    def user_layers(self) -> HiddenConfig:
        """Hidden layers of the user tower."""
        return self.user or HiddenConfig()

    @property
    def item_layers(self) -> HiddenConfig:
        """Hidden layers of the item tower."""
        return self.item or HiddenConfig()
