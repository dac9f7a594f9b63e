"""The types of kept columns in a Parquet file, of rows that each may hold any JSON value.

A column whose values have no type in common there (1 in one row and "x" in another, an integer beyond 64
bits, an object without keys) is text: what is text as it is, everything else as JSON. Knows no files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def types_of(parts: Iterable[Sequence[Mapping[str, Any]]]) -> dict[str, pa.DataType]:
    """Column to its type, of rows in parts; a row may lack a column."""
    import pyarrow as pa

    found: dict[str, pa.DataType] = {}
    for rows in parts:
        for name in dict.fromkeys(name for row in rows for name in row):
            here = _type_of([row.get(name) for row in rows])
            found[name] = _joined(found.get(name, pa.null()), here)
    return found


def plain(value: Any, kind: pa.DataType) -> Any:
    """A value as a column of that type holds it."""
    import pyarrow as pa

    if value is None or isinstance(value, str) or not pa.types.is_string(kind):
        return value
    return json.dumps(value, ensure_ascii=False)


def _type_of(values: Sequence[Any]) -> pa.DataType:
    import pyarrow as pa

    try:
        kind = pa.array(values).type
    except (pa.ArrowException, OverflowError):
        return pa.string()
    return pa.string() if _has_empty_struct(kind) else kind


def _joined(first: pa.DataType, second: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    if first == second:
        return first
    schemas = [pa.schema([("", kind)]) for kind in (first, second)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return pa.string()


def _has_empty_struct(kind: pa.DataType) -> bool:
    """Whether a struct without fields is in it, which Parquet cannot hold."""
    import pyarrow as pa

    if not pa.types.is_nested(kind):
        return False
    fields = [kind.field(place) for place in range(kind.num_fields)]
    return not fields or any(_has_empty_struct(field.type) for field in fields)
