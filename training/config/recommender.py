"""The settings of a run that trains a user and an item tower."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from bundle.manifest import Name
from training.config.sections import (
    Fraction,
    HiddenConfig,
    NotNegative,
    Positive,
    Section,
    TrainConfig,
)

BagPooling: TypeAlias = Literal["mean", "mean_sqrt"]

_EMBEDDED = ("column", "dim", "dropout")
# Kind of feature -> the options that it reads, besides name and description.
FEATURE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "category": (*_EMBEDDED, "min_count", "max_size"),
    "bag": (*_EMBEDDED, "min_count", "max_size", "max_length", "pooling", "separator"),
    "text": (*_EMBEDDED, "min_count", "max_size", "max_length", "pooling", "bigrams"),
    "number": (*_EMBEDDED, "log1p", "clip"),
    "time": (*_EMBEDDED, "clip"),
    "history": ("max_length",),
}


class FeatureConfig(Section):
    """A declared feature of one side.

    Attributes:
        name: as callers send it.
        kind: what its values are. The user side needs one `history`, which is made from the log.
        column: where training finds it; the name, if not given. The item feature of the log's item column
            is the item's id.
        separator: between the entries of a bag in one column.
        min_count: fewest occurrences for an entry of a vocabulary.
        max_size: most entries of a vocabulary; the most frequent are kept.
        max_length: most entries, words or events read.
        pooling: of a bag's or text's embeddings: their `mean`, or `mean_sqrt`, their sum over the square root
            of their number, so that many entries say more than few.
        bigrams: of a text, known pairs of neighbouring words are entries, too.
        log1p: take the logarithm of a number's magnitude first.
        clip: standard deviations at which numbers are cut.
        dim: of its embedding. An item's features are summed in `towers.item_dim` dimensions: what has others
            is projected, what has none is embedded in these at once. 16 for a user's.
        dropout: in training, how often a value is hidden, so that the encoder learns to do without; for an
            item's id this is what makes new items work. Of bags and texts, each entry by itself.
    """

    name: str
    kind: Literal["category", "bag", "text", "number", "time", "history"]
    description: str = ""
    column: str | None = None
    separator: Annotated[str, Field(min_length=1)] = "|"
    min_count: Positive = 1
    max_size: Positive = 1_000_000
    max_length: Positive = 64
    pooling: BagPooling = "mean_sqrt"
    bigrams: bool = False
    log1p: bool = False
    clip: Annotated[float, Field(gt=0)] = 5.0
    dim: Positive | None = None
    dropout: Fraction = 0.0

    @model_validator(mode="after")
    def _no_idle_option(self) -> FeatureConfig:
        read = {"name", "kind", "description", *FEATURE_OPTIONS[self.kind]}
        for option in self.model_fields_set - read:
            raise ValueError(f"{option} says nothing about a {self.kind}; leave it out of {self.name!r}")
        return self


class InteractionsConfig(Section):
    """A log of who took what and when, and how it becomes training data.

    Attributes:
        path: CSV or TSV with a line of names, JSONL (each also as .gz), or Parquet; a list's entries are
            joined by `|`.
        items: another such file with one line per item, joined by the item column; "" if the log has all.
        user, item, time: columns.
        where: conditions a line must meet, for example "Quantity > 0", "StockCode ~ ^[0-9]{5}"; signs are
            < <= > >= for numbers, == != for text, ~ !~ for regular expressions.
        uppercase_items: fold the case of item ids.
        core: keep users and items with at least this many interactions, repeatedly.
        protocol: `users` judges users that were not trained on; `time` judges what everybody took after the
            moment when 85 % of the log had happened, trained on what was before.
        split_seed: which 80/10/10 % of the users are for training, validation, test (`training.data.splits`).
        fold: which tenth of them is the test.
        judged_users: most users for validation, and again for the test; all others are trained on.
        cold_items: share of the items kept out of training, to judge how new items are served.
    """

    path: str
    items: str = ""
    user: str
    item: str
    time: str
    where: list[str] = []
    uppercase_items: bool = False
    core: Positive = 5
    protocol: Literal["users", "time"] = "users"
    split_seed: Annotated[int, Field(ge=0)] = 0
    fold: Annotated[int, Field(ge=0, le=9)] = 0
    judged_users: Positive | None = None
    cold_items: Annotated[float, Field(ge=0, lt=1)] = 0.0


class StartConfig(Section):
    """Starts the towers at EASE's solution, cut to their width (`training.encoders.start`).

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
    """What reads the order of a history, beside the recency-weighted pool (`training.encoders.sequence`).

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
            for option in ("heads", "layers"):
                if option in self.model_fields_set:
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
        start: where the weights start; random if not given.
        user, item: hidden layers of each tower; `output_dim` must be the same.
        item_bias: an item's popularity as one more dimension, against a constant 1 of the user.
    """

    item_dim: Positive = 256
    half_lives_days: list[Annotated[float, Field(gt=0)]] = []
    sequence: SequenceConfig | None = None
    start: StartConfig | None = None
    user: HiddenConfig = HiddenConfig()
    item: HiddenConfig = HiddenConfig()
    item_bias: bool = True


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


class RecommenderRun(Section):
    """A run that trains a user and an item tower; publishes NAME-user and NAME-item."""

    kind: Literal["recommender"]
    name: Name
    description: str
    seed: int = 0
    data: InteractionsConfig
    user: Annotated[list[FeatureConfig], Field(min_length=1)]
    item: Annotated[list[FeatureConfig], Field(min_length=1)]
    towers: TowersConfig = TowersConfig()
    loss: RecommenderLossConfig = RecommenderLossConfig()
    train: TrainConfig
