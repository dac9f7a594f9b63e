"""What a recommender learns from: the log of interactions, and the features of either side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, model_validator

from tabular import BadRowsPolicy
from training.config.sections import (
    Fraction,
    Positive,
    Section,
)

BagPooling: TypeAlias = Literal["mean", "mean_sqrt"]

_EMBEDDED = ("column", "dim", "dropout")
# Kind of feature -> the options that it reads, besides name and description.
FEATURE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "category": (*_EMBEDDED, "min_count", "max_size", "uppercase"),
    "bag": (*_EMBEDDED, "min_count", "max_size", "max_length", "pooling", "separator", "uppercase"),
    "text": (*_EMBEDDED, "min_count", "max_size", "max_length", "pooling", "bigrams", "prefixes"),
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
        uppercase: fold the case of a category or of a bag's entries, in serving, too.
        max_length: most entries, words or events read.
        pooling: of a bag's or text's embeddings: their `mean`, or `mean_sqrt`, their sum over the square root
            of their number, so that many entries say more than few.
        bigrams: of a text, known pairs of neighbouring words are entries, too.
        prefixes: of a text, the words' first so many characters are entries, too, where they are known: of
            codes, which say to what family an article belongs, or in place of stems.
        log1p: take the logarithm of a number's magnitude first.
        clip: standard deviations at which numbers are cut.
        dim: of its embedding. An item's features are summed in `towers.item_dim` dimensions: what has others
            is projected, what has none is embedded in these at once. A user's has by default as many as it
            has values, up to 64.
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
    uppercase: bool = False
    max_length: Positive = 64
    pooling: BagPooling = "mean_sqrt"
    bigrams: bool = False
    prefixes: list[Positive] = []
    log1p: bool = False
    clip: Annotated[float, Field(gt=0)] = 5.0
    dim: Positive | None = None
    dropout: Fraction = 0.0

    @model_validator(mode="after")
    def _no_idle_option(self) -> FeatureConfig:
        read = {"name", "kind", "description", *FEATURE_OPTIONS[self.kind]}
        for option in self.changed(key for key in type(self).model_fields if key not in read):
            raise ValueError(f"{option} says nothing about a {self.kind}; leave it out of {self.name!r}")
        return self


class InteractionsConfig(Section):
    """A log of who took what and when, and how it becomes training data.

    Attributes:
        path: CSV or TSV with a line of names, JSONL (each also as .gz), or Parquet; a list's entries are
            joined by `|`.
        users, items: other such files with one line per user or item, joined by the user or item column;
            "" if the log has all. What a file says holds at all times, what a row says from that row on.
        user, item, time: columns.
        where: conditions a line must meet, for example "Quantity > 0", "StockCode ~ ^[0-9]{5}"; signs are
            < <= > >= for numbers, == != for text, ~ !~ for regular expressions.
        day_first: what 11/12/2023 begins with, where no other time of its column tells.
        uppercase_items: fold the case of item ids.
        bad_rows: `stop` at a row that cannot be used, naming it; or `skip` it and count it by its reason.
        core: keep users and items with at least this many interactions, repeatedly.
        protocol: `users` measures users that were not trained on. `time` trains on what happened before the
            moment at 85 % of the log, and measures what everybody took after it.
        split_seed: which 80/10/10 % of the users are for training, validation, test (`data.splits`).
        fold: which tenth of them is the test, 0 to 4; the other five tenths are for validation.
        evaluation_users: most users for validation, and again for the test; all others are trained on.
        cold_items: share of the items kept out of training, to measure how new items are served.
    """

    path: str
    users: str = ""
    items: str = ""
    user: str
    item: str
    time: str
    where: list[str] = []
    day_first: bool | None = None
    uppercase_items: bool = False
    bad_rows: BadRowsPolicy = "stop"
    core: Positive = 5
    protocol: Literal["users", "time"] = "users"
    split_seed: Annotated[int, Field(ge=0)] = 0
    fold: Annotated[int, Field(ge=0, le=4)] = 0
    evaluation_users: Positive | None = None
    cold_items: Annotated[float, Field(ge=0, lt=1)] = 0.0

    former: ClassVar[Mapping[str, str]] = {"judged_users": "evaluation_users = {value}"}
