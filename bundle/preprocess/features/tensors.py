"""Features as tensors: one per feature, and a history has a second axis, padded with empty strings.

`history.time` may give the times of its entries. An empty string or NaN is a missing value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from bundle.preprocess.kind import Schema, Tensor, TensorType

TIME = ".time"


def tensors(schema: Schema) -> list[TensorType]:
    """Return the tensors that a model of this schema takes."""
    return [one for name, feature in schema["properties"].items() for one in _of_feature(name, feature)]


def from_tensors(schema: Schema, given: Mapping[str, Tensor]) -> list[Any]:
    """One object of features per row. Raises ValueError."""
    counts = {len(tensor.rows) for tensor in given.values()}
    if len(counts) != 1:
        raise ValueError("the first axis of every tensor is the number of inputs, and must be equal")
    names = [name for name in given if not name.endswith(TIME)]
    if any(name.removesuffix(TIME) not in given for name in given):
        raise ValueError(f"a tensor of times, NAME{TIME}, needs the tensor NAME that the times are of")
    return [
        {name: _value(given, name, row, schema["properties"].get(name, {})) for name in names}
        for row in range(counts.pop())
    ]


def _of_feature(name: str, feature: Schema) -> Iterator[TensorType]:
    types = feature.get("type", [])
    if "array" not in types:
        yield TensorType(name, "FP64" if "number" in types else "BYTES", (-1,))
        return
    yield TensorType(name, "BYTES", (-1, -1))
    if "anyOf" in feature["items"]:  # entries may have a time
        yield TensorType(name + TIME, "FP64", (-1, -1))


def _value(given: Mapping[str, Tensor], name: str, row: int, feature: Schema) -> Any:
    values = [None if _is_missing(value) else value for value in given[name].rows[row]]
    if "array" not in feature.get("type", []):
        if not given[name].is_flat:
            raise ValueError(f"{name} is one value per input; its shape is [n] or [n, 1]")
        return values[0]
    if (times := given.get(name + TIME)) is None:
        return [value for value in values if value is not None]
    moments = times.rows[row]
    if len(moments) != len(values):
        raise ValueError(f"{name + TIME} must have the shape of {name}")
    return [
        value if _is_missing(moment) else {"id": value, "time": moment}
        for value, moment in zip(values, moments, strict=True)
        if value is not None
    ]


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
