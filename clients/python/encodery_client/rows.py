"""Turns what callers have in hand (lists, pandas, polars, pyarrow, numpy) into rows that JSON can hold.

Tables are recognised by what they can do, so none of those packages is imported or needed. A table gives
one object of features per row, a column one text or value per row. A missing value (None, NaN, NaT) is
left out of an object: the server's encoders know what a missing feature means.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def rows_of(inputs: Any) -> Iterator[Any]:
    """Yield the inputs one by one, with JSON's types only.

    Raises:
        TypeError: a bare string, bytes or an object, which would be taken apart.
    """
    if isinstance(inputs, (str, bytes, Mapping)):
        raise TypeError("encode takes several inputs, as a list; for a single one there is encode_one")
    return (plain(row) for row in _iterated(inputs))


def _iterated(inputs: Any) -> Iterable[Any]:
    if hasattr(inputs, "to_pylist"):  # pyarrow: Array, ChunkedArray, Table, RecordBatch
        return _iterable(inputs.to_pylist())
    if hasattr(inputs, "to_dicts"):  # polars DataFrame
        return _iterable(inputs.to_dicts())
    if hasattr(inputs, "to_list"):  # Series of pandas and polars
        return _iterable(inputs.to_list())
    if hasattr(inputs, "to_dict") and hasattr(inputs, "columns"):  # pandas DataFrame
        return _iterable(inputs.to_dict("records"))
    return _iterable(inputs)


def _iterable(value: Any) -> Iterable[Any]:
    if not isinstance(value, Iterable):
        raise TypeError(f"inputs are a list, a column or a table, not {type(value).__name__}")
    return value


def plain(value: Any) -> Any:
    """Return the value with JSON's types only."""
    if isinstance(value, (str, bytes)):  # numpy's str_ is a str; bytes are a picture or a sound
        return str(value) if isinstance(value, str) else base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        inner = {str(name): plain(field) for name, field in value.items()}
        return {name: field for name, field in inner.items() if field is not None}
    if isinstance(value, (list, tuple)):
        return [plain(field) for field in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return plain(value.tolist())
    if isinstance(value, (float, datetime.date)) and value != value:  # noqa: PLR0124  # NaN, NaT
        return None
    return value.isoformat() if isinstance(value, datetime.date) else value
