"""Forms and places of bundles that were published before graphs said them: version 0.1.

classic   the config that stands in the card
BERT      sizes of the weights; pooling by the mean, which golden vectors confirm
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper
from torch import nn

from training.errors import ConfigError
from training.text.encoders.form import classic_form, pretrained_form
from training.text.pretrained.directory import Pretrained

CONFIG = re.compile(r"^The whole config:\n\n((?:    .*\n)+)", re.MULTILINE)
PREFIXES = ("model.encoder.", "model.")  # of the packed form, and of the padded one
BACKBONE = "model.encoder.backbone."
DENSE = re.compile(r"model\.encoder\.dense\.\d+\.weight")  # the one that turns to principal axes
HEADS = 4  # numbers of the shape (1, tokens, heads, width of a head)


def legacy_form(graph: onnx.GraphProto, card: str, *, normalized: bool) -> dict[str, Any]:
    """The form of an encoder whose graph does not say it. Raises ConfigError."""
    shapes = {one.name: list(one.dims) for one in graph.initializer}
    types = {one.data_type for one in graph.initializer}
    storage = {
        "table": "int8" if onnx.TensorProto.INT8 in types else "float32",
        "layers": "float16" if onnx.TensorProto.FLOAT16 in types else "float32",
    }
    if any(name.startswith("model.hidden.") for name in shapes) and (found := CONFIG.search(card)):
        tokens = max(one.dims[0] for one in graph.initializer if one.dims)
        return classic_form(tokens, json.loads(found[1])["model"], storage)
    if f"{BACKBONE}encoder.layer.0.attention.self.query.bias" in shapes:
        return _bert(graph, shapes, storage, normalized=normalized)
    raise ConfigError("its graph does not say its form, as those of version 0.1; export or import it again")


def legacy_places(encoder: nn.Module, graph: onnx.GraphProto) -> dict[str, tuple[str, bool]]:
    """The places of weights by name or, where the name was lost, by use, in the order of the module."""
    constants = {one.name: one for one in graph.initializer}
    weights = encoder.state_dict()
    places = {
        name.removeprefix(prefix): (name, False)
        for prefix in PREFIXES
        for name in constants
        if name.startswith(prefix) and name.removeprefix(prefix) in weights
    }
    for key, weight in weights.items():
        if key in places:
            continue
        for name, kind in _unnamed(graph, constants):
            taken = any(name == other for other, _ in places.values())
            shape = list(constants[name].dims)
            if kind == "matrix" and not taken and shape[::-1] == list(weight.shape):
                places[key] = name, True
                break
            if kind == "table" and not taken and shape == list(weight.shape):
                scale = _scale_after(graph, constants, name)
                base = key.removesuffix("weight")
                places |= {f"{base}quantized": (name, False), f"{base}scale": (scale, False)}
                break
    return places


def _unnamed(graph: onnx.GraphProto, constants: dict[str, onnx.TensorProto]) -> Iterator[tuple[str, str]]:
    """Tables of int8 rows that are gathered, and right sides of matrix products, in the order of use."""
    for node in graph.node:
        table, matrix = node.input[0] if node.input else "", node.input[1] if len(node.input) > 1 else ""
        is_int8 = table in constants and constants[table].data_type == onnx.TensorProto.INT8
        if node.op_type == "GatherND" and is_int8:
            yield table, "table"
        if node.op_type == "MatMul" and matrix in constants and not matrix.startswith(PREFIXES):
            yield matrix, "matrix"


def _scale_after(graph: onnx.GraphProto, constants: dict[str, onnx.TensorProto], table: str) -> str:
    """The scales are gathered next."""
    gathered: list[str] = [node.input[0] for node in graph.node if node.op_type == "GatherND"]
    rest = gathered[gathered.index(table) + 1 :]
    return next(name for name in rest if name in constants and len(constants[name].dims) == 1)


def _bert(
    graph: onnx.GraphProto, shapes: dict[str, list[int]], storage: dict[str, str], *, normalized: bool
) -> dict[str, Any]:
    """A BERT in packed form."""
    positions, width = shapes[f"{BACKBONE}embeddings.position_embeddings.weight"]
    tables = [one.dims[0] for one in graph.initializer if list(one.dims[1:]) == [width]]
    layers = sum(name.endswith("attention.self.query.bias") for name in shapes)
    spec = Pretrained(
        name="",
        directory=Path(),
        family="bert",
        hidden_size=width,
        layers=layers,
        vocabulary=max(tables),
        poolings=("mean",),
        dense=(),
        normalize=normalized,
        metric="cosine",
        positions=positions,
        max_length=positions,
        lowercase=False,
    )
    network = {
        "model_type": "bert",
        "vocab_size": spec.vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": _heads(graph, width),
        "intermediate_size": shapes[f"{BACKBONE}encoder.layer.0.intermediate.dense.bias"][0],
        "max_position_embeddings": positions,
        "type_vocab_size": shapes[f"{BACKBONE}embeddings.token_type_embeddings.weight"][0],
        "layer_norm_eps": _epsilon(graph),
    }
    dense = [shape for name, shape in shapes.items() if DENSE.fullmatch(name)]
    linear = [{"in": i, "out": o, "bias": False, "activation": None} for o, i in dense]
    return pretrained_form(spec, network, linear, storage)


def _heads(graph: onnx.GraphProto, width: int) -> int:
    for one in graph.initializer:
        if one.data_type == onnx.TensorProto.INT64 and list(one.dims) == [HEADS]:
            shape = numpy_helper.to_array(one).tolist()
            if shape[2] * shape[3] == width:
                return int(shape[2])
    raise ConfigError("its graph does not say how many heads attention has; export or import it again")


def _epsilon(graph: onnx.GraphProto) -> float:
    norm = next(node for node in graph.node if node.op_type == "LayerNormalization")
    return float(next(one.f for one in norm.attribute if one.name == "epsilon"))
