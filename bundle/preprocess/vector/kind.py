"""The kind `vector`: how vectors stand in JSON, in files and in tensors, and what bounds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundle.preprocess.kind import Columns, Kind, Limit, LimitSetting, Schema, Tensor, TensorType
from bundle.preprocess.vector.input import Vector
from bundle.preprocess.vector.preprocessor import VectorPreprocessor

COLUMN = "embedding"  # what bulk encoding and streams call a vector
TENSOR = "source"
_NUMBER = 26  # bytes of JSON: a float64 of any size, and what stands between two


def _columns(schema: Schema, column: str | None) -> Columns:
    name = column or COLUMN

    def value(row: Any) -> Any:
        found = row.get(name) if isinstance(row, Mapping) else row
        if not isinstance(found, list | str):
            raise ValueError(f"there is no vector in {name!r}; name the column by --column")
        return found

    return Columns((name,), are_all_needed=True, value=value)


def _tensors(schema: Schema) -> tuple[TensorType, ...]:
    return (TensorType(TENSOR, "FP32", (-1, int(schema["minItems"]))),)


def _from_tensors(schema: Schema, tensors: Mapping[str, Tensor]) -> list[Any]:
    if list(tensors) != [TENSOR]:
        raise ValueError(f"this model takes one tensor, named {TENSOR}, FP32 [n, {schema['minItems']}]")
    return [list(row) for row in tensors[TENSOR].rows]


def _numbers(one: Vector) -> int:
    return one.values.size


VECTOR = Kind(
    name="vector",
    noun="a vector",
    plural="vectors",
    json_schema={
        "type": "array",
        "items": {"type": "number"},
        "minItems": 1,
        "description": "a vector, for an adapter",
    },
    examples=(),
    limits=(
        Limit(
            "numbers",
            _numbers,
            LimitSetting("max_vector_numbers", 8192, "longest vector that an adapter takes, in numbers"),
            json_bytes=_NUMBER,
        ),
    ),
    columns=_columns,
    tensors=_tensors,
    from_tensors=_from_tensors,
    file="vectors.json",
    version=1,
    load=VectorPreprocessor,
)
