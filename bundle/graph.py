"""What a serialised ONNX graph may contain, checked before onnxruntime sees it.

Walks the protobuf bytes with the few field numbers it needs (onnx.proto3), because the `onnx` package
is large, belongs to training, and has had holes of its own in just this place. Refused: tensors kept
in other files, weights that are NaN, and operators outside the standard domains (they would need native
code).

Every occurrence of a field is judged, not only the one that protobuf would keep: a reader that differs
from onnxruntime's in which occurrence wins is a reader that can be lied to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.errors import IntegrityError

CORE_DOMAINS = frozenset({b"", b"ai.onnx"})  # two spellings of one domain
STANDARD_DOMAINS = CORE_DOMAINS | {b"ai.onnx.ml"}
MAX_DEPTH = 32  # messages in messages; a subgraph is three of them
MAX_FIELDS = 500_000  # a graph of 10,000 nodes has about 200,000; each costs about two microseconds

# Message type -> {field number: type of the sub-message}. Source: onnx/onnx.proto3.
_NESTED: Mapping[str, Mapping[int, str]] = {
    "Model": {7: "Graph", 8: "Opset", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
}
_LOOPS = frozenset({b"Loop", b"Scan", b"SequenceMap"})  # operators that run a graph again and again
_NODE_OPERATOR = 4
_NODE_DOMAIN, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 7, 13, 14
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_RAW, _TENSOR_DOUBLES = 1, 2, 4, 9, 10
_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}  # TensorProto.DataType
_WEIGHTS = {1: "F32", 2: "U8", 3: "I8", 10: "F16", 11: "F64", 16: "BF16", 21: "U4", 22: "I4"}  # the same

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_TAG = 1 << 32  # protobuf keeps 32 bits of a tag; a longer one would be another field to it than to us

Field: TypeAlias = tuple[int, memoryview | int]  # number; bytes or number


def check_graph(content: bytes) -> int:
    """The opset version of the graph.

    Raises:
        IntegrityError: the bytes are no ONNX model, or it needs other files or custom operators.
    """
    opset: list[int] = []
    seen_graph = False
    for message, fields in _walk("Model", memoryview(content), [MAX_FIELDS], depth=0):
        seen_graph = seen_graph or message == "Graph"
        if message == "Tensor" and any(map(_leads_outside, fields)):
            raise IntegrityError("model.onnx keeps tensors in other files; export it with embedded weights")
        if message == "Tensor" and _holds_nan(fields):
            raise IntegrityError("model.onnx has weights that are no numbers; train and export it again")
        if message == "Node" and not STANDARD_DOMAINS.issuperset(_bytes(fields, _NODE_DOMAIN)):
            raise IntegrityError("model.onnx uses a custom operator; only standard ONNX domains are run")
        if message == "Opset" and CORE_DOMAINS.issuperset(_bytes(fields, _OPSET_DOMAIN)):
            opset += [
                value for number, value in fields if number == _OPSET_VERSION and isinstance(value, int)
            ]
    if not seen_graph or not opset:
        raise _not_onnx()
    return max(opset)


def has_loops(content: bytes) -> bool:
    """Tell whether a checked graph may run for any length of time, however small its inputs are."""
    return any(
        message == "Node" and not _LOOPS.isdisjoint(_bytes(fields, _NODE_OPERATOR))
        for message, fields in _walk("Model", memoryview(content), [MAX_FIELDS], depth=0)
    )


def count_weights(content: bytes) -> dict[str, int]:
    """How many numbers a checked graph keeps, by their type as safetensors calls it.

    Whole numbers of more than a byte are shapes and places, not weights.
    """
    counts: dict[str, int] = {}
    for message, fields in _walk("Model", memoryview(content), [MAX_FIELDS], depth=0):
        if message == "Tensor":
            kinds = [
                _WEIGHTS[value] for number, value in fields if number == _TENSOR_TYPE and value in _WEIGHTS
            ]
            for kind in kinds:
                counts[kind] = counts.get(kind, 0) + math.prod(_dims(fields))
    return counts


def _dims(fields: Sequence[Field]) -> Iterator[int]:
    """The shape of a tensor, whether or not it is packed."""
    for number, value in fields:
        if number == _TENSOR_DIMS:
            if isinstance(value, int):
                yield value
                continue
            position = 0
            while position < len(value):
                dim, position = _varint(value, position)
                yield dim


def _leads_outside(field: Field) -> bool:
    """Tell whether this field of a tensor points to another file; `data_location` 0 says that it does not."""
    number, value = field
    return number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value != 0)


def _holds_nan(fields: Sequence[Field]) -> bool:
    """Tell whether a floating-point tensor has a NaN; golden inputs do not reach every weight."""
    kinds = [_FLOATS[value] for number, value in fields if number == _TENSOR_TYPE and value in _FLOATS]
    stored = {_TENSOR_FLOATS: ["<f4"], _TENSOR_DOUBLES: ["<f8"], _TENSOR_RAW: kinds}
    return any(
        np.isnan(_numbers(value, kind)).any()
        for number, value in fields
        if isinstance(value, memoryview)
        for kind in stored.get(number, ())
    )


def _numbers(data: memoryview, kind: str) -> npt.NDArray[np.floating]:
    """As many as there are whole ones."""
    return np.frombuffer(data, kind, count=len(data) // np.dtype(kind).itemsize)


def _bytes(fields: Sequence[Field], wanted: int) -> list[bytes]:
    return [bytes(value) for number, value in fields if number == wanted and isinstance(value, memoryview)]


def _walk(
    message: str, data: memoryview, fields_left: list[int], depth: int
) -> Iterator[tuple[str, list[Field]]]:
    """Every message of a type named in `_NESTED`, with the fields that are no messages themselves."""
    if depth > MAX_DEPTH:
        raise IntegrityError(f"model.onnx nests more than {MAX_DEPTH} messages")
    fields: list[Field] = []
    nested = _NESTED.get(message, {})
    for number, value in _fields(data):
        fields_left[0] -= 1
        if fields_left[0] < 0:
            raise IntegrityError(f"model.onnx has more than {MAX_FIELDS} parts")
        if number in nested and isinstance(value, memoryview):
            yield from _walk(nested[number], value, fields_left, depth + 1)
        else:
            fields.append((number, value))
    yield message, fields


def _fields(data: memoryview) -> Iterator[Field]:
    """The fields of one message. Source: protobuf.dev/programming-guides/encoding."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if number == 0 or tag >= _MAX_TAG:
            raise _not_onnx()
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(data, position)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise _not_onnx()
        if position + size > end:
            raise _cut_short()
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """The number at `position`, and where the next thing starts."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise _cut_short()
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _not_onnx()


def _not_onnx() -> IntegrityError:
    return IntegrityError("model.onnx is not an ONNX model")


def _cut_short() -> IntegrityError:
    return IntegrityError("model.onnx is cut short; copy it again")
