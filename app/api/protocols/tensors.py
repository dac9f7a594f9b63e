"""Tensors of the Open Inference Protocol, in JSON or in the binary extension; what they mean says their kind.

    {"name", "shape", "datatype", "data" | parameters.binary_data_size} -> Tensor

Binary: little-endian, row-major, and a string as its length (uint32) and its bytes:
triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from pydantic import Field

from app.api.json_values import MOST_VALUES, too_many_values
from app.api.protocols.base import ForeignRequest
from app.http.errors import InvalidRequest
from bundle import Tensor

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


SHARED = "shared_memory_region"  # what libraries send in place of data


class TensorSpec(ForeignRequest):
    """One tensor of a request."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=2)
    datatype: str = Field(json_schema_extra={"enum": ["BYTES", *DTYPES]})
    parameters: dict[str, Any] = Field(default={})
    data: list[Any] | None = None


def read_tensors(specs: Sequence[TensorSpec], binary: memoryview) -> dict[str, Tensor]:
    """The tensors by name; those in binary lie in `binary` one after the other. Raises InvalidRequest."""
    tensors, start, count = dict[str, Tensor](), 0, 0
    for spec in specs:
        if SHARED in spec.parameters:
            raise _wrong(spec, "no memory is shared with this server; send the data in the request")
        size = spec.parameters.get("binary_data_size")
        if size is None:
            values = _typed(spec, list(_flat(spec.data or [], 2)))
        else:
            if type(size) is not int or not 0 <= size <= len(binary) - start:
                raise _wrong(
                    spec, f"binary_data_size must lie within the {len(binary)} bytes after the header"
                )
            values = _unpacked(spec, binary[start : start + size], MOST_VALUES - count)
            start += size
        count += len(values)
        if spec.name in tensors:
            raise _invalid("two tensors have the same name")
        tensors[spec.name] = _shaped(spec, values)
    if start != len(binary):
        raise InvalidRequest(
            f"{len(binary) - start} bytes follow the last tensor; Inference-Header-Content-Length or a "
            "binary_data_size is wrong",
            code="invalid_tensor",
            param="inputs",
        )
    return tensors


def _unpacked(spec: TensorSpec, block: memoryview, most: int) -> list[Any]:
    """The values, `most` of them; Python's own, of which each takes many times its bytes."""
    if spec.datatype == "BYTES":
        strings = list(islice(_strings(spec, block), most + 1))
        if len(strings) > most:
            raise too_many_values("the tensors hold")
        return strings
    dtype = np.dtype(_dtype(spec))
    if len(block) % dtype.itemsize:
        raise _wrong(spec, f"{len(block)} bytes are no whole number of {spec.datatype}")
    if len(block) // dtype.itemsize > most:
        raise too_many_values("the tensors hold")
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


def _typed(spec: TensorSpec, values: list[Any]) -> list[Any]:
    """The values, floats where the datatype says so: in JSON 1.0 may be written as 1, but is no id."""
    expected: tuple[type, ...] = (str,) if spec.datatype == "BYTES" else (int, float, bool)
    if spec.datatype != "BYTES":
        _dtype(spec)
    if not all(isinstance(value, expected) for value in values):
        raise _wrong(spec, f"data holds a value that is no {spec.datatype}")
    if spec.datatype.startswith("FP"):
        return [float(value) if type(value) is int else value for value in values]
    return values


def _dtype(spec: TensorSpec) -> str:
    if spec.datatype not in DTYPES:
        raise _wrong(spec, f"datatype is one of BYTES, {', '.join(DTYPES)}")
    return DTYPES[spec.datatype]


def _shaped(spec: TensorSpec, values: Sequence[Any]) -> Tensor:
    if min(spec.shape) < 1 or math.prod(spec.shape) != len(values):
        raise _wrong(spec, f"the shape does not fit {len(values)} values")
    columns = spec.shape[1] if len(spec.shape) == 2 else 1
    rows = [values[start : start + columns] for start in range(0, len(values), columns)]
    return Tensor(rows, is_flat=columns == 1)


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
