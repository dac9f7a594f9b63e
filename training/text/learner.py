"""What a text run trains: an encoder, and the heads that are thrown away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import Tokenizer
from torch import nn

from training.errors import ConfigError
from training.text.encoders.classic import TextEncoder
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.objectives import Loss, Sizes
from training.text.settings import TextRates


class TextLearner(nn.Module):
    """The encoder, and while training the heads that some losses bring along.

    Args:
        encoder: inputs to vectors (n, dim).
        losses: of the run, by name.
        sizes: what heads depend on.

    Raises:
        ConfigError: a loss needs what the encoder or the data has not.
    """

    def __init__(
        self, encoder: TextEncoder | PretrainedEncoder, losses: dict[str, Loss], sizes: Sizes
    ) -> None:
        super().__init__()
        for name, loss in losses.items():
            if loss.needs_dropout:
                refuse_without_dropout(encoder, name)
        self.encoder = encoder
        # From the last row of the table up, so that a seed gives each of them the numbers it always did.
        heads = {name: loss.head(sizes) for name, loss in reversed(losses.items())}
        self.heads = nn.ModuleDict({name: head for name, head in heads.items() if head is not None})


def groups_of(
    model: TextLearner, rates: TextRates, learning_rate: float, times: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Parameters for the optimiser, those that are frozen left out.

    Tables of embeddings apart: they want a larger rate, and decay would pull at rare tokens only.

    Args:
        model: what is trained.
        rates: of tables, as far as they are given.
        learning_rate: of all else.
        times: key of [rates] -> the learning rates that it is where it is not given; 1 by default.

    Raises:
        ConfigError: a rate is given for what this run does not train.
    """
    groups: list[dict[str, Any]] = []
    for key, tables in _tables(model.encoder).items():
        trained = _trained(tables)
        if rates.changed([key]) and not trained:
            what = key.replace("_", " ")
            raise ConfigError(
                f"rates.{key} says nothing about this run, which trains no {what}; leave it out"
            )
        if trained:
            rate = getattr(rates, key) or learning_rate * times.get(key, 1.0)
            groups.append({"params": trained, "lr": rate, "weight_decay": 0.0})
    apart = {id(parameter) for group in groups for parameter in group["params"]}
    rest = [parameter for parameter in _trained([model]) if id(parameter) not in apart]
    return [{"params": rest, "lr": learning_rate}, *groups]


def _tables(encoder: TextEncoder | PretrainedEncoder) -> dict[str, list[nn.Module]]:
    """Key of [rates] -> what it is the rate of; nothing of a pretrained encoder, which is trained at one."""
    if not isinstance(encoder, TextEncoder):
        return {"table": [], "token_weights": []}
    parts = [part.table for part in (encoder.windows, encoder.bigrams) if part is not None]
    weights = [] if encoder.log_weights is None else [encoder.log_weights]
    return {"table": [encoder.table, *parts], "token_weights": [*weights]}


def _trained(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return [one for module in modules for one in module.parameters() if one.requires_grad]


def refuse_without_dropout(encoder: nn.Module, loss: str) -> None:
    """Refuse an encoder of which two passes of a text are the same. Raises ConfigError."""
    if not any(isinstance(module, nn.Dropout) and module.p > 0 for module in encoder.modules()):
        raise ConfigError(f"loss.{loss} needs dropout, and this encoder has none: both passes are the same")


def special_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of tokens that stand for no text."""
    return [id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special]
