"""Tensors of the Open Inference Protocol: JSON or the binary extension, and the inputs that they hold.

    {"name", "shape", "datatype", "data" | parameters.binary_data_size} -> Tensor -> list[str | dict]

A text model takes one tensor, `text`. A recommender takes one tensor per feature; a list, such as a
history, has a second axis, padded with empty strings, and `history.time` may give the times of its
entries. An empty string or NaN is a missing value. Binary: little-endian, row-major, and a string as its
length (uint32) and its bytes: triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from app.api.protocols.base import Lenient
from app.errors import InvalidRequest

TEXT, TIME = "text", ".time"
DTYPES: Mapping[str, str] = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


class TensorSpec(Lenient):
    """One tensor of a request."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: str
    parameters: dict[str, Any] = Field(default={})
    data: list[Any] | None = None


@dataclass(frozen=True)
class Tensor:
    """One tensor, read: its values row by row."""

    name: str
    rows: Sequence[Sequence[Any]]  # [n, columns]
    is_flat: bool  # one column, so a row is a value


def read_tensors(specs: Sequence[TensorSpec], binary: memoryview) -> list[Tensor]:
    """The tensors; those in binary lie in `binary` one after the other. Raises InvalidRequest."""
    tensors, start = [], 0
    for spec in specs:
        size = spec.parameters.get("binary_data_size")
        if size is None:
            values = list(_flat(spec.data or [], 2))
            _check_types(spec, values)
        else:
            if type(size) is not int or not 0 <= size <= len(binary) - start:
                raise _wrong(
                    spec, f"binary_data_size must lie within the {len(binary)} bytes after the header"
                )
            values = _unpacked(spec, binary[start : start + size])
            start += size
        tensors.append(_shaped(spec, values))
    if start != len(binary):
        raise InvalidRequest(
            f"{len(binary) - start} bytes follow the last tensor; Inference-Header-Content-Length or a "
            "binary_data_size is wrong",
            code="invalid_tensor",
            param="inputs",
        )
    return tensors


def inputs_of(tensors: Sequence[Tensor], schema: Mapping[str, Any]) -> list[Any]:
    """The inputs as they stand in a request to /encode, for a model of this schema. Raises InvalidRequest."""
    by_name = {tensor.name: tensor for tensor in tensors}
    if len(by_name) < len(tensors):
        raise _invalid("two tensors have the same name")
    if "properties" not in schema:
        if list(by_name) != [TEXT] or not by_name[TEXT].is_flat:
            raise _invalid(f"this model takes one tensor, {TEXT}, BYTES [n]")
        return [row[0] for row in by_name[TEXT].rows]
    counts = {len(tensor.rows) for tensor in tensors}
    if len(counts) != 1:
        raise _invalid("the first axis of every tensor is the number of inputs, and must be equal")
    features = [name for name in by_name if not name.endswith(TIME)]
    return [
        {name: _value(by_name, name, index, schema["properties"].get(name, {})) for name in features}
        for index in range(counts.pop())
    ]


def described(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tensors that a model of this schema takes."""
    if "properties" not in schema:
        return [{"name": TEXT, "datatype": "BYTES", "shape": [-1]}]
    found = []
    for name, feature in schema["properties"].items():
        types = feature.get("type", [])
        if "array" in types:
            found.append({"name": name, "datatype": "BYTES", "shape": [-1, -1]})
            if "anyOf" in feature["items"]:
                found.append({"name": name + TIME, "datatype": "FP64", "shape": [-1, -1]})
        else:
            found.append({"name": name, "datatype": "FP64" if "number" in types else "BYTES", "shape": [-1]})
    return found


def _value(tensors: Mapping[str, Tensor], name: str, index: int, feature: Mapping[str, Any]) -> Any:
    row = [None if _is_missing(value) else value for value in tensors[name].rows[index]]
    if "array" not in feature.get("type", []):
        if not tensors[name].is_flat:
            raise _invalid(f"{name} is one value per input; its shape is [n]")
        return row[0]
    if (times := tensors.get(name + TIME)) is None:
        return [value for value in row if value is not None]
    moments = times.rows[index]
    if len(moments) != len(row):
        raise _invalid(f"{name + TIME} must have the shape of {name}")
    return [
        value if _is_missing(moment) else {"id": value, "time": moment}
        for value, moment in zip(row, moments, strict=True)
        if value is not None
    ]


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _unpacked(spec: TensorSpec, block: memoryview) -> list[Any]:
    if spec.datatype == "BYTES":
        return list(_strings(spec, block))
    dtype = np.dtype(_dtype(spec))
    if len(block) % dtype.itemsize:
        raise _wrong(spec, f"{len(block)} bytes are no whole number of {spec.datatype}")
    values: list[Any] = np.frombuffer(block, dtype).tolist()
    return values


def _strings(spec: TensorSpec, block: memoryview) -> Iterator[str]:
    position = 0
    while position < len(block):
        length = int.from_bytes(block[position : position + 4], "little")
        position += 4
        if length > len(block) - position:
            raise _wrong(spec, "a string is longer than the tensor's bytes")
        try:
            yield str(block[position : position + length], "utf-8")
        except UnicodeDecodeError:
            raise _wrong(spec, "a string is not UTF-8") from None
        position += length


def _check_types(spec: TensorSpec, values: Sequence[Any]) -> None:
    expected: tuple[type, ...] = (str,) if spec.datatype == "BYTES" else (int, float, bool)
    if spec.datatype != "BYTES":
        _dtype(spec)
    if not all(isinstance(value, expected) for value in values):
        raise _wrong(spec, f"data holds a value that is no {spec.datatype}")


def _dtype(spec: TensorSpec) -> str:
    if spec.datatype not in DTYPES:
        raise _wrong(spec, f"datatype is one of BYTES, {', '.join(DTYPES)}")
    return DTYPES[spec.datatype]


def _shaped(spec: TensorSpec, values: Sequence[Any]) -> Tensor:
    if min(spec.shape) < 1 or math.prod(spec.shape) != len(values):
        raise _wrong(spec, f"the shape does not fit {len(values)} values")
    columns = spec.shape[1] if len(spec.shape) == 2 else 1
    rows = [values[start : start + columns] for start in range(0, len(values), columns)]
    return Tensor(spec.name, rows, is_flat=columns == 1)


def _flat(values: Sequence[Any], depth: int) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list) and depth > 1:
            yield from _flat(value, depth - 1)
        else:
            yield value


def _wrong(spec: TensorSpec, what: str) -> InvalidRequest:
    return InvalidRequest(f"a tensor cannot be read: {what}", code="invalid_tensor", param="inputs")


def _invalid(what: str) -> InvalidRequest:
    return InvalidRequest(what, code="invalid_tensor", param="inputs")
