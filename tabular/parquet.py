"""Parquet, some columns at a time, in batches; its types as plain Python values.

Dictionaries are what they stand for, bytes that are UTF-8 are text, NaN is a missing value as in pandas,
moments are datetimes of microseconds (UTC where they have a zone). A value that Python cannot hold, such as
a year 20,000, makes a bad row. pyarrow is imported when a file of this kind is read, and not before.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabular.errors import DataError
from tabular.formats import PARQUET, refuse_other_content
from tabular.lines import opened
from tabular.rows import Row, cut, refuse_bad_names, refuse_missing

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

BATCH_ROWS, FILE_ROWS = 1024, 64  # in memory at once; the second where there are whole files in them
BUFFER_BYTES = 1 << 20  # of each column


def rows(path: Path, columns: Sequence[str] | None, files: Collection[str] = ()) -> Iterator[Row]:
    """The rows by column, only the given ones or all. Raises DataError.

    Binary values are texts, as old writers have them, but those of `files`, which stay bytes.
    """
    number = 0
    with _parquet(path) as (file, names):
        refuse_missing(path.name, columns or (), names)
        wanted = names if columns is None else list(dict.fromkeys(columns))
        unit = f"{path.name}, row"
        for batch in file.iter_batches(FILE_ROWS if files else BATCH_ROWS, columns=wanted):
            yield from rows_of(batch, wanted, unit, before=number, files=files)
            number += batch.num_rows


def rows_of(
    batch: pa.RecordBatch, columns: Sequence[str], unit: str, *, before: int = 0, files: Collection[str] = ()
) -> Iterator[Row]:
    """The rows of a batch that is in memory.

    Args:
        batch: of Arrow.
        columns: that are read; the batch has them.
        unit: what a row is called in messages.
        before: rows that came before it.
        files: columns whose bytes are files, and stay bytes.
    """
    faults: dict[int, str] = {}
    values = [
        batch.column(name).to_pylist() if name in files else _values(name, batch.column(name), faults)
        for name in columns
    ]
    for position in range(batch.num_rows):
        content = {name: column[position] for name, column in zip(columns, values, strict=True)}
        yield Row(unit, before + position + 1, content, faults.get(position, ""))


def names_of(path: Path) -> list[str]:
    """The names of the columns. Raises DataError."""
    with _parquet(path) as (_, names):
        return names


def count(path: Path) -> int:
    """The number of rows. Raises DataError."""
    with _parquet(path) as (file, _):
        return int(file.metadata.num_rows)


@contextmanager
def _parquet(path: Path) -> Iterator[tuple[ParquetFile, list[str]]]:
    """An open file and the names of its columns; whatever goes wrong with it is one sentence."""
    if path.suffix.lower() == ".gz":
        raise DataError(f"{path.name}: Parquet is compressed by itself; unpack it and take .gz off its name")
    with opened(path) as file:
        head = file.read(512)
    try:
        from pyarrow import parquet  # noqa: PLC0415  # large, and only needed for this format
    except ModuleNotFoundError:
        raise DataError("Parquet needs pyarrow: pip install pyarrow") from None
    if not head.startswith(PARQUET):
        refuse_other_content(path.name, head)
        raise DataError(f"{path.name}: it is no sound Parquet file: it does not begin with PAR1")
    try:
        # Without these a whole row group is in memory, which may be the file.
        with parquet.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            names = list(file.schema_arrow.names)
            refuse_bad_names(path.name, names)
            yield file, names
    except DataError:
        raise
    except Exception as error:  # a damaged file makes pyarrow raise whatever its decoders meet
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name}: it is no sound Parquet file: {reason[:200]}") from None


def _values(name: str, column: pa.Array, faults: dict[int, str]) -> list[Any]:
    """A column as Python values; one that is none becomes None, and a fault of its row."""
    try:
        return _plain(column)
    except Exception:  # any kind of value may have its own; they are told one by one
        return [_value(name, column, position, faults) for position in range(len(column))]


def _value(name: str, column: pa.Array, position: int, faults: dict[int, str]) -> Any:
    try:
        return _plain(column[position : position + 1])[0]
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        faults.setdefault(position, f"{cut(name)} cannot be read, it is {column.type}: {cut(reason, 120)}")
        return None


def _plain(column: pa.Array) -> list[Any]:
    kind = _plain_type(column.type)
    if kind != column.type:
        # What is finer than a microsecond is cut; of coarser units a year may not fit, which is an error.
        column = column.cast(kind, safe="[ns" not in str(column.type))
    values: list[Any] = column.to_pylist()
    if str(kind) in _FLOATS:
        return [None if value is None or math.isnan(value) else value for value in values]
    return values


_FLOATS = ("halffloat", "float", "double")


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with the same meaning that has a plain Python value."""
    import pyarrow as pa  # noqa: PLC0415  # as above

    types = pa.types
    if types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([(field.name, _plain_type(field.type)) for field in kind])
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    is_binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    for holds, plain in (
        (is_binary, pa.string()),
        (types.is_duration(kind), pa.duration("us")),
        (types.is_time64(kind), pa.time64("us")),
    ):
        if holds:
            return plain
    return kind
