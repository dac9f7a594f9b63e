"""Tensors of the Open Inference Protocol, in JSON or in the binary extension; what they mean says their kind.

    {"name", "shape", "datatype", "data" | parameters.binary_data_size} -> Tensor

Binary: little-endian, row-major, and a string as its length (uint32) and its bytes:
triton-inference-server/server, docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from app.api.json_values import MOST_VALUES, too_many_values
from app.api.protocols.datatypes import BYTES, DATATYPES, Datatype
from app.api.protocols.foreign import ForeignRequest
from app.http.errors import InvalidRequest
from bundle import Tensor

SHARED = "shared_memory_region"  # what libraries send in place of data
SIZE = "binary_data_size"
MOST_AXES = 2  # inputs, and what one input lists


def _with_nulls(schema: dict[str, Any]) -> None:
    """Say in the document that null may stand for what may be left out."""
    for name, described in schema.get("properties", {}).items():
        if name not in schema.get("required", ()) and {"type": "null"} not in described.get("anyOf", ()):
            schema["properties"][name] = {"anyOf": [described, {"type": "null"}]}


class WithNulls(ForeignRequest):
    """An object in which null stands for a field that is left out, as the protocol's libraries write it."""

    model_config = ConfigDict(json_schema_extra=_with_nulls)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}


class TensorSpec(WithNulls):
    """One tensor of a request."""

    name: str
    shape: list[int] = Field(fail_fast=True, json_schema_extra={"minItems": 1, "maxItems": MOST_AXES})
    datatype: str = Field(json_schema_extra={"enum": list(DATATYPES)})
    parameters: dict[str, Any] = Field(default={})
    data: list[Any] | None = None


class _Place(NamedTuple):
    """A tensor, and where it stands in the request: `inputs[1]`."""

    name: str
    spec: TensorSpec

    def wrong(self, field: str, what: str) -> InvalidRequest:
        """The error of one of its fields."""
        place = f"{self.name}.{field}"
        return InvalidRequest(f"{place}: {what}", code="invalid_tensor", param=place)

    @property
    def datatype(self) -> Datatype:
        """Its row of the table. Raises InvalidRequest."""
        found = DATATYPES.get(self.spec.datatype)
        if found is None:
            raise self.wrong("datatype", f"expected one of {', '.join(DATATYPES)}")
        return found


def read_tensors(
    specs: Sequence[TensorSpec], binary: memoryview, *, are_files: bool = False
) -> dict[str, Tensor]:
    """The tensors by name; those in binary lie in `binary` one after the other. Raises InvalidRequest.

    BYTES are texts, or, for a model that takes files, what they are.
    """
    tensors, start, count = dict[str, Tensor](), 0, 0
    for index, spec in enumerate(specs):
        place = _Place(f"inputs[{index}]", spec)
        if spec.name in tensors:
            raise place.wrong("name", "an earlier tensor has the same name; send each tensor once")
        size = _binary_size(place, len(binary) - start)
        if size is None:
            values = _from_json(place, are_files=are_files)
        else:
            block = binary[start : start + size]
            values = _from_binary(place, block, MOST_VALUES - count, are_files=are_files)
            start += size
        count += len(values)
        tensors[spec.name] = _shaped(place, values)
    if start != len(binary):
        raise InvalidRequest(
            f"inputs: {len(binary) - start} bytes follow the last tensor; Inference-Header-Content-Length or "
            f"a {SIZE} is wrong",
            code="invalid_tensor",
            param="inputs",
        )
    return tensors


def _binary_size(place: _Place, left: int) -> int | None:
    """Bytes of the tensor in binary; None if it is in JSON. Raises InvalidRequest unless it has one place."""
    parameters = place.spec.parameters
    if parameters.get(SHARED) is not None:
        raise place.wrong(
            f"parameters.{SHARED}", "no memory is shared with this server; send the data in the request"
        )
    size = parameters.get(SIZE)
    if size is None:
        if place.spec.data is None:
            raise InvalidRequest(
                f'"{place.name}.data" is missing; send it, or {SIZE} and bytes after the JSON',
                code="missing_field",
                param=f"{place.name}.data",
            )
        return None
    if place.spec.data is not None:
        raise place.wrong("data", f"send data or {SIZE}, not both")
    if type(size) is not int or not 0 <= size <= left:
        raise place.wrong(
            f"parameters.{SIZE}",
            f"expected a whole number up to {left}, the bytes that follow the JSON and the tensors before",
        )
    return size


def _from_json(place: _Place, *, are_files: bool) -> list[Any]:
    """The values; floats where the datatype says so, since 1.0 may be written as 1."""
    datatype, spec = place.datatype, place.spec
    values = _flat(place, spec.data or [])
    if (wrong := datatype.first_wrong(values)) is not None:
        raise place.wrong(f"data[{wrong}]", f"no {spec.datatype}, which is {datatype.noun}")
    if spec.datatype == BYTES:
        return _decoded(place, values, are_files=are_files)
    if float in datatype.types:
        return [value if value is None else float(value) for value in values]
    return [bool(value) for value in values] if bool in datatype.types else values


def _decoded(place: _Place, values: list[Any], *, are_files: bool) -> list[Any]:
    """The strings, or the bytes of files, that base64 stands for, where MLServer's `content_type` says so."""
    content_type = place.spec.parameters.get("content_type")
    if not isinstance(content_type, str | None):
        raise place.wrong("parameters.content_type", "expected a text, as base64")
    if content_type != "base64" or are_files:  # a model that takes files reads base64 itself
        return values
    found = list[Any]()
    for index, value in enumerate(values):
        try:
            found.append(value and base64.b64decode(value, validate=True).decode())
        except (binascii.Error, ValueError):
            raise place.wrong(f"data[{index}]", "no base64 of UTF-8, which its content_type says") from None
    return found


def _flat(place: _Place, values: list[Any]) -> list[Any]:
    """The values row by row, however deep they are nested, if they are so evenly."""
    while values and isinstance(values[0], list):
        if not all(isinstance(value, list) for value in values):
            raise place.wrong("data", "lists and values stand side by side; nest all values equally deep")
        values = list(chain.from_iterable(values))
    return values


def _from_binary(place: _Place, block: memoryview, most: int, *, are_files: bool) -> list[Any]:
    """The values, `most` of them; Python's own, of which each takes many times its bytes."""
    wire, name = place.datatype.wire, place.spec.datatype
    if wire is None:
        found = _elements(place, block)
        strings = list(islice(found if are_files else _strings(place, found), most + 1))
        if len(strings) > most:
            raise too_many_values("the tensors hold")
        return strings
    dtype = np.dtype(wire)
    if len(block) % dtype.itemsize:
        raise place.wrong(f"parameters.{SIZE}", f"{len(block)} bytes are no whole number of {name}")
    if len(block) // dtype.itemsize > most:
        raise too_many_values("the tensors hold")
    if dtype.kind == "b" and np.any(np.frombuffer(block, np.uint8) > 1):
        raise place.wrong("data", "a byte that is no BOOL, which is 0 or 1")
    values: list[Any] = np.frombuffer(block, dtype).tolist()
    return values


def _strings(place: _Place, elements: Iterator[bytes]) -> Iterator[str]:
    for index, element in enumerate(elements):
        try:
            yield str(element, "utf-8")
        except UnicodeDecodeError:
            raise place.wrong(f"data[{index}]", "a string is not UTF-8") from None


def _elements(place: _Place, block: memoryview) -> Iterator[bytes]:
    position, index = 0, 0
    while position < len(block):
        length = int.from_bytes(block[position : position + 4], "little")
        position += 4
        if length > len(block) - position:
            raise place.wrong(f"data[{index}]", "a string is longer than the tensor's bytes")
        yield bytes(block[position : position + length])
        position, index = position + length, index + 1


def _shaped(place: _Place, values: Sequence[Any]) -> Tensor:
    shape = place.spec.shape
    if not 1 <= len(shape) <= MOST_AXES:
        raise place.wrong("shape", f"expected [n], or [n, k] for k values an input; got {len(shape)} axes")
    if min(shape) < 0:
        raise place.wrong("shape", "a length is negative; only a model's metadata has -1, for any length")
    if 0 in shape:
        raise place.wrong("shape", "the batch is empty; send one input at least")
    if (expected := math.prod(shape)) != len(values):
        most = "" if expected <= MOST_VALUES else "more than "
        count = min(expected, MOST_VALUES)
        raise place.wrong("shape", f"the shape is of {most}{count}, the data of {len(values)} values")
    columns = shape[1] if len(shape) == MOST_AXES else 1
    rows = [values[start : start + columns] for start in range(0, len(values), columns)]
    return Tensor(rows, is_flat=columns == 1)
