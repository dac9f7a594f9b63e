"""What a serialised ONNX graph may contain, checked before onnxruntime sees it.

Walks the protobuf bytes with the few field numbers it needs (onnx.proto3), because the `onnx` package
is large, belongs to training, and has had holes of its own in just this place. Refused: tensors kept
in other files, and operators outside the standard domains (they would need native code).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bundle.errors import IntegrityError

STANDARD_DOMAINS = frozenset({b"", b"ai.onnx", b"ai.onnx.ml"})
MAX_DEPTH = 32

# Message type -> {field number: type of the sub-message}. Source: onnx/onnx.proto3.
_NESTED: Mapping[str, Mapping[int, str]] = {
    "Model": {7: "Graph", 8: "Opset", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 9: "Opset", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
}
_NODE_DOMAIN, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 7, 13, 14
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check_graph(content: bytes) -> int:
    """The opset version of the graph.

    Raises:
        IntegrityError: the bytes are no ONNX model, or it needs other files or custom operators.
    """
    opset: list[int] = []
    seen_graph = False
    for message, fields in _walk("Model", memoryview(content), 0):
        seen_graph = seen_graph or message == "Graph"
        if message == "Tensor" and (fields.get(_TENSOR_EXTERNAL_DATA) or fields.get(_TENSOR_DATA_LOCATION)):
            raise IntegrityError("model.onnx keeps tensors in other files; embed the weights")
        if message == "Node" and bytes(fields.get(_NODE_DOMAIN, b"")) not in STANDARD_DOMAINS:  # type: ignore[arg-type]  # a domain is bytes
            raise IntegrityError("model.onnx uses a custom operator; only standard ONNX domains are run")
        if message == "Opset" and bytes(fields.get(_OPSET_DOMAIN, b"")) in (b"", b"ai.onnx"):  # type: ignore[arg-type]  # a domain is bytes
            opset.append(int(fields.get(_OPSET_VERSION, 0)))  # type: ignore[arg-type]  # a version is a number
    if not seen_graph or not opset:
        raise IntegrityError("model.onnx is not an ONNX model")
    return max(opset)


def _walk(message: str, data: memoryview, depth: int) -> Iterator[tuple[str, dict[int, memoryview | int]]]:
    """Every message of a type named in `_NESTED`, with its last value per field."""
    if depth > MAX_DEPTH:
        raise IntegrityError("model.onnx nests graphs too deeply")
    fields: dict[int, memoryview | int] = {}
    nested = _NESTED.get(message, {})
    for number, value in _fields(data):
        fields[number] = value
        if number in nested and isinstance(value, memoryview):
            yield from _walk(nested[number], value, depth + 1)
    yield message, fields


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one message: (number, bytes or number). Source: protobuf.dev/programming-guides/encoding."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(data, position)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise IntegrityError("model.onnx is not an ONNX model")
        if position + size > end:
            raise IntegrityError("model.onnx is cut short")
        yield number, data[position : position + size]
        position += size


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise IntegrityError("model.onnx is cut short")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise IntegrityError("model.onnx is not an ONNX model")
