"""The form of an encoder: all that its module is made of besides the weights, as JSON.

A graph carries it (`training.export`), so that a run can start from a published bundle alone: no directory
and no package of the network is needed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import onnx
from torch import nn

from training.errors import ConfigError
from training.layers import ACTIVATIONS, HalfLinear, Int8Table
from training.text.config.model import TextModelConfig
from training.text.encoders.classic import TextEncoder
from training.text.encoders.pretrained import PretrainedEncoder, backbone_of
from training.text.encoders.weights import places_of
from training.text.pretrained.directory import Pretrained

FORM, PLACES = "encodery.form", "encodery.places"  # keys of a graph's metadata
OF_THE_FILE = ("_name_or_path", "architectures", "dtype", "transformers_version")  # not of the network
# The settings that a classic encoder is made of; the others are about training.
CLASSIC = {"embedding_dim", "poolings", "sif", "window", "bigrams", "hidden", "normalize"}


def notes_of(encoder: TextEncoder | PretrainedEncoder) -> Callable[[onnx.GraphProto], dict[str, Any]]:
    """Write down, given the graph of an encoder, its form and where its weights are."""
    return lambda graph: {FORM: form_of(encoder), PLACES: places_of(encoder, graph)}


def form_of(encoder: TextEncoder | PretrainedEncoder) -> dict[str, Any]:
    """Describe an encoder as it is exported."""
    kinds = {type(module) for module in encoder.modules()}
    storage = {
        "table": "int8" if Int8Table in kinds else "float32",
        "layers": "float16" if HalfLinear in kinds else "float32",
    }
    if isinstance(encoder, TextEncoder):
        return classic_form(encoder.tokens, encoder.config.model_dump(mode="json"), storage)
    network = json.loads(cast(Any, encoder.backbone.config).to_json_string(use_diff=False))
    network = {key: value for key, value in network.items() if key not in OF_THE_FILE}
    return pretrained_form(encoder.spec, network, list(_dense_forms(encoder.dense)), storage)


def classic_form(tokens: int, config: Mapping[str, Any], storage: Mapping[str, str]) -> dict[str, Any]:
    """Describe the classic encoder of so many tokens and these settings of [model]."""
    settings = {key: config[key] for key in sorted(CLASSIC)}
    return {"form": "classic", "tokens": tokens, "model": settings, "storage": dict(storage)}


def pretrained_form(
    spec: Pretrained,
    network: Mapping[str, Any],
    dense: Sequence[Mapping[str, Any]],
    storage: Mapping[str, str],
) -> dict[str, Any]:
    """Describe a pretrained encoder: config.json of its network, the layers after pooling; no path."""
    plain = asdict(replace(spec, name="", dense=(), prompts={}, default_prompt=None)) | {"directory": ""}
    parts = {"spec": plain, "network": dict(network), "dense": list(dense), "storage": dict(storage)}
    return {"form": "pretrained"} | parts


def encoder_of(form: Mapping[str, Any]) -> TextEncoder | PretrainedEncoder:
    """Make the encoder of a form; its weights are still to be loaded. Raises ConfigError."""
    if form["form"] == "classic":
        return TextEncoder(form["tokens"], TextModelConfig.model_validate(form["model"]))
    if form["form"] == "static":
        raise ConfigError("it is an imported table of token vectors, which is not trained further")
    spec: dict[str, Any] = dict(form["spec"])
    spec |= {"directory": Path(), "dense": (), "poolings": tuple(spec["poolings"])}
    dense = nn.Sequential(*map(_dense_of, form["dense"]))
    return PretrainedEncoder(Pretrained(**spec), backbone_of(form["network"]), dense)


def _dense_forms(dense: nn.Sequential) -> Iterator[dict[str, Any]]:
    """Each layer after pooling: its sizes, and the activation after it."""
    for part in dense:
        linear, activation = (part[0], part[1]) if isinstance(part, nn.Sequential) else (part, None)
        assert isinstance(linear, nn.Linear), type(linear)
        yield {
            "in": linear.in_features,
            "out": linear.out_features,
            "bias": linear.bias is not None,
            "activation": next((n for n, kind in ACTIVATIONS.items() if kind is type(activation)), None),
        }


def _dense_of(form: Mapping[str, Any]) -> nn.Module:
    linear = nn.Linear(form["in"], form["out"], bias=form["bias"])
    if form["activation"] is None:
        return linear
    return nn.Sequential(linear, ACTIVATIONS[form["activation"]]())
