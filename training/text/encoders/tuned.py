"""A pretrained encoder made ready to be fine-tuned: layers cut out, the bottom frozen, or adapters added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from torch import nn

from training.errors import ConfigError
from training.text.config.model import TextModelConfig
from training.text.encoders.classic import TextEncoder
from training.text.encoders.lora import add_lora
from training.text.encoders.pretrained import PretrainedEncoder
from training.text.pretrained.directory import Pretrained
from training.text.pretrained.families import FAMILIES

PRETRAINED = ("full", "top", "lora")
# What stays as it is, by the way in which a classic encoder is tuned.
CLASSIC: Mapping[str, Callable[[TextEncoder], Iterable[nn.Module]]] = {
    "full": lambda encoder: (),
    "layers": lambda encoder: encoder.tables(),
    "head": lambda encoder: encoder.before_output(),
}
AFTER = ("final_norm", "norm")  # what ModernBERT, EuroBERT and decoders have after their layers


def tuned(spec: Pretrained, config: TextModelConfig) -> PretrainedEncoder:
    """The encoder of a directory, with that trainable which the config says.

    Args:
        spec: what the directory says.
        config: which layers are kept, which are trained, and how.

    Raises:
        ConfigError: it has no such layers, or nothing to adapt.
    """
    encoder = PretrainedEncoder(replace(spec, normalize=config.normalize))
    prepare(encoder, config)
    return encoder


def prepare(encoder: PretrainedEncoder, config: TextModelConfig) -> None:
    """Make that trainable which the config says. Raises ConfigError."""
    encoder.precision = config.precision
    if config.dropout is not None:
        set_dropout(encoder, config.dropout)
    if config.layers:
        keep_layers(encoder, config.layers)
    if config.tune == "top":
        freeze_bottom(encoder, config.frozen_layers)
    elif config.tune == "lora":
        family = encoder.spec.family
        add_lora(encoder.backbone, config.lora.targets or FAMILIES[family].adapted, config.lora)


def started(
    encoder: TextEncoder | PretrainedEncoder, config: TextModelConfig
) -> TextEncoder | PretrainedEncoder:
    """The encoder of a published bundle, with that trainable which the config says. Raises ConfigError."""
    if isinstance(encoder, PretrainedEncoder):
        _check_tune(config.tune, PRETRAINED, "a pretrained")
        prepare(encoder, config)
        return encoder
    _check_tune(config.tune, CLASSIC, "a classic")
    if of_networks := config.changed(("layers", "dropout", "precision")):
        raise ConfigError(f"model.{of_networks[0]} says nothing about a classic encoder; leave it out")
    for part in CLASSIC[config.tune](encoder):
        part.requires_grad_(False)
    return encoder


def _check_tune(tune: str, ways: Iterable[str], kind: str) -> None:
    if tune not in (known := list(ways)):
        raise ConfigError(f"model.tune is {tune!r}; {kind} encoder is tuned by {', '.join(known)}")


def layers_of(encoder: PretrainedEncoder) -> nn.ModuleList:
    """The layers of the network, the one next to the embeddings first."""
    layers = encoder.backbone.get_submodule(_where(encoder))
    assert isinstance(layers, nn.ModuleList), type(layers)
    return layers


def _where(encoder: PretrainedEncoder) -> str:
    """Where the layers are. Raises ConfigError."""
    if not (where := FAMILIES[encoder.spec.family].layers):
        raise ConfigError(
            f"the layers of {encoder.spec.name} share weights, so none can be cut out or frozen alone; leave "
            'model.layers out, and take model.tune = "full" or "lora"'
        )
    return where


def keep_layers(encoder: PretrainedEncoder, kept: Sequence[int]) -> None:
    """Leave only these layers, counted from 0. Raises ConfigError.

    Source: Reimers' layer reduction, sbert.net, model distillation: "keeping layers works better than a new
    small model".
    """
    layers = layers_of(encoder)
    if list(kept) != sorted(set(kept)) or kept[-1] >= len(layers):
        raise ConfigError(
            f"model.layers is {list(kept)}; {encoder.spec.name} has the layers 0 to {len(layers) - 1}, "
            "to be named in that order"
        )
    encoder.backbone.set_submodule(_where(encoder), nn.ModuleList([layers[number] for number in kept]))
    config = encoder.backbone.config
    config.num_hidden_layers = len(kept)  # type: ignore[union-attr]  # transformers' own, not a tensor
    if kinds := getattr(config, "layer_types", None):  # ModernBERT's, one a layer
        config.layer_types = [kinds[number] for number in kept]  # type: ignore[union-attr]
    encoder.spec = replace(encoder.spec, layers=len(kept))


def set_dropout(encoder: PretrainedEncoder, share: float) -> None:
    """Set the dropout of all layers, attention's among them, which every family's eager attention reads."""
    for module in encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        elif isinstance(
            getattr(module, "attention_dropout", None), float
        ):  # families that pass it as a number
            module.attention_dropout = share  # type: ignore[assignment]  # no module, whatever torch declares


def freeze_bottom(encoder: PretrainedEncoder, count: int) -> None:
    """Train the layers from number `count` on and what comes after them. Raises ConfigError."""
    layers = layers_of(encoder)
    if count > len(layers) or (count == len(layers) and not encoder.spec.dense):
        raise ConfigError(
            f"model.frozen_layers is {count} of {len(layers)}: nothing of it is left to be trained"
        )
    encoder.backbone.requires_grad_(False)  # also what all layers share, as MPNet's bias of positions
    layers[count:].requires_grad_(True)
    for name, module in encoder.backbone.named_children():
        if name in AFTER:
            module.requires_grad_(True)
