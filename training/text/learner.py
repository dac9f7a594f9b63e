"""What a text run trains: an encoder, and the parts that are thrown away; and what it learns from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from torch import nn

from training.errors import ConfigError
from training.text.data.examples import Examples, TokenExamples
from training.text.encoders.classic import TextEncoder
from training.text.encoders.decoder import Decoder
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.objectives import (
    Classification,
    Denoising,
    Distillation,
    Grades,
    Objective,
    PairsOfTexts,
    Plan,
    SimCSE,
    SupervisedContrast,
    Triplets,
)
from training.text.rules import follows_texts
from training.text.settings import TextLossConfig, TextRates


class TextLearner(nn.Module):
    """The encoder, and while training the head of the labels and the decoder of the denoising.

    Args:
        encoder: inputs to vectors (n, dim).
        loss: which of the others are wanted.
        dim: length of a vector.
        tokens: size of the vocabulary.
        classes: number of labels.

    Raises:
        ConfigError: labels are wanted and there are none.
    """

    def __init__(
        self,
        encoder: TextEncoder | PretrainedEncoder,
        loss: TextLossConfig,
        *,
        dim: int,
        tokens: int,
        classes: int,
    ) -> None:
        super().__init__()
        if loss.cross_entropy and not classes:
            raise ConfigError("data.labels has no examples")
        self.encoder = encoder
        self.head = nn.Linear(dim, classes) if loss.cross_entropy else None
        self.decoder = Decoder(tokens, dim, loss.denoising_width) if loss.denoising else None


def objectives_of(
    loss: TextLossConfig,
    model: TextLearner,
    plan: Plan,
    *,
    examples: Examples,
    tokens: TokenExamples,
    targets: npt.NDArray[np.float16] | None,
    specials: Sequence[int],
) -> Iterator[Objective]:
    """Those with a weight, in the order texts, pairs, triplets, graded pairs, labels.

    Args:
        loss: the weights.
        model: whose head and decoder are trained along.
        plan: see there.
        examples: what the files hold.
        tokens: the same as tokens.
        targets: the teacher's vectors of the texts that have tokens (n, d), if it is learned from.
        specials: ids of special tokens.
    """
    if follows_texts(loss):
        assert targets is not None
        yield Distillation(tokens.corpus, targets, loss, plan)
    if loss.simcse:
        yield SimCSE(tokens.corpus, loss, plan)
    if model.decoder is not None:
        yield Denoising(tokens.corpus, model.decoder, specials, loss, plan)
    if loss.infonce or loss.pair_similarity_kl:
        sides = None
        if loss.pair_similarity_kl:
            assert targets is not None
            sides = examples.sides(tokens.corpus.kept, targets)
        yield PairsOfTexts(tokens.pairs.first, tokens.pairs.second, sides, loss, plan)
    if loss.triplet or loss.hard_infonce:
        yield Triplets(tokens.triplets, loss, plan)
    if loss.cosent:
        yield Grades(tokens.graded.first, tokens.graded.second, examples.graded.scores, loss, plan)
    if model.head is not None:
        yield Classification(tokens.labelled, examples.labelled.labels, model.head, loss, plan)
    if loss.supervised_contrast:
        yield SupervisedContrast(tokens.labelled, examples.labelled.labels, loss, plan)


def groups_of(model: TextLearner, rates: TextRates, learning_rate: float) -> list[dict[str, Any]]:
    """Parameters for the optimiser, those that are frozen left out.

    Tables of embeddings apart: they want a larger rate, and decay would pull at rare tokens only.
    """
    encoder = model.encoder
    tables: list[tuple[nn.Module | None, float | None]] = []
    if isinstance(encoder, TextEncoder):
        tables = [(encoder.table, rates.table), (encoder.log_weights, rates.token_weights)]
        tables += [(part.table, rates.table) for part in (encoder.windows, encoder.bigrams) if part]
    groups: list[dict[str, Any]] = []
    taken = set[int]()
    for table, rate in tables:
        if table is not None:
            parameters = list(table.parameters())
            groups.append({"params": parameters, "lr": rate or learning_rate, "weight_decay": 0.0})
            taken |= {id(parameter) for parameter in parameters}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rest = [parameter for parameter in trained if id(parameter) not in taken]
    return [{"params": rest, "lr": learning_rate}, *groups]


def refuse_without_dropout(encoder: nn.Module) -> None:
    """Raises ConfigError if two passes of a text would be the same."""
    if not any(isinstance(module, nn.Dropout) and module.p > 0 for module in encoder.modules()):
        raise ConfigError("loss.simcse needs dropout, and this encoder has none: both passes are the same")


def special_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of tokens that stand for no text."""
    return [id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special]
