"""The weights of an exported graph, put back into the torch module that it was exported from.

The exporter turns matrices, keeps one of several equal weights, and loses names where it folds an operator
into a weight. So an export says in which constant of the graph each weight is: its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.errors import ConfigError

Places: TypeAlias = Mapping[str, tuple[str, bool]]  # weight -> name of the constant, and whether it is turned
INT8 = ("quantized", "scale")  # what an Int8Table has in the place of a weight


def places_of(encoder: nn.Module, graph: onnx.GraphProto) -> dict[str, tuple[str, bool]]:
    """Find the constant of each weight of an encoder in the graph that was exported of it, by content.

    A weight that is no constant of the graph, whole or turned, is left out.
    """
    constants = {_content(numpy_helper.to_array(one)): one.name for one in graph.initializer if one.dims}
    places: dict[str, tuple[str, bool]] = {}
    for key, weight in encoder.state_dict().items():
        for is_turned in (False, True) if weight.dim() == 2 else (False,):  # a matrix
            content = _content((weight.T if is_turned else weight).numpy())
            if content in constants:
                places.setdefault(key, (constants[content], is_turned))
    return places


def load_weights(encoder: nn.Module, graph: onnx.GraphProto, places: Places) -> None:
    """Fill an encoder in float32; an int8 table is expanded as the graph does it.

    Raises:
        ConfigError: a weight is not there, or has another shape.
    """
    constants = {one.name: one for one in graph.initializer}
    found: dict[str, Tensor] = {}
    for key in encoder.state_dict():
        table, scale = (f"{key.removesuffix('weight')}{name}" for name in INT8)
        if key in places:
            found[key] = _read(constants, places[key])
        elif table in places and scale in places:
            found[key] = _read(constants, places[table]) * _read(constants, places[scale]).unsqueeze(1)
        else:
            raise ConfigError(f"its graph does not keep {key} as it was in training")
    try:
        encoder.load_state_dict(found)
    except RuntimeError as error:
        raise ConfigError(f"its graph has other sizes than its form: {str(error).splitlines()[-1]}") from None


def _read(constants: Mapping[str, onnx.TensorProto], place: tuple[str, bool]) -> Tensor:
    name, is_turned = place
    tensor = torch.from_numpy(np.array(numpy_helper.to_array(constants[name]), dtype=np.float32))
    return tensor.T if is_turned else tensor


def _content(values: npt.NDArray[np.generic]) -> tuple[tuple[int, ...], bytes]:
    """Equal for arrays of equal numbers; float16 weights may be widened already."""
    return values.shape, np.ascontiguousarray(values, dtype=np.float32).tobytes()
