"""The settings of a run that trains a text encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from training.config.sections import (
    NotNegative,
    Positive,
    Run,
    Section,
)
from training.text.config.data import TextDataConfig
from training.text.config.model import TeacherConfig, TextModelConfig, VocabularyConfig


class TextLossConfig(Section):
    """A weighted sum; a weight of 0 leaves a term out. Formulas and sources: `training.text.losses`.

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


class TextRun(Run):
    """A run that trains a text encoder."""

    kind: Literal["text"]
    data: TextDataConfig
    teacher: TeacherConfig | None = None
    vocabulary: VocabularyConfig = VocabularyConfig()
    model: TextModelConfig = TextModelConfig()
    loss: TextLossConfig
    rates: TextRates = TextRates()
    export: TextExportConfig = TextExportConfig()
