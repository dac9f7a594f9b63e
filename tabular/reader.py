"""The one reader of files of rows: CSV, TSV and JSONL, each also as .gz, and Parquet, by the file's name.

    path -> rows, one at a time, each its values by column or the fault why it has none

A file that cannot be told apart in rows raises DataError; a row that cannot be used is given with its
fault, and the caller stops, leaves it out or sets it aside. Memory holds a block of lines, or a batch of
Parquet. Knows nothing of what columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tabular import jsonl, parquet, separated
from tabular.errors import DataError
from tabular.formats import suffix_of
from tabular.rows import Row, closest


@dataclass(frozen=True)
class Format:
    """How one kind of file is read.

    Attributes:
        rows: the rows of a file, by the given columns or by all. Those of JSONL have what they have.
        names: of its columns; of JSONL, those of its first rows.
        is_sparse: a row may lack a column.
        is_columnar: columns are read apart, and the number of rows is known without reading them.
        rows_with_files: the same as `rows`, where binary values of the columns named last stay bytes; None
            where there are no such values.
    """

    rows: Callable[[Path, Sequence[str] | None], Iterator[Row]]
    names: Callable[[Path], list[str]]
    is_sparse: bool = False
    is_columnar: bool = False
    rows_with_files: Callable[[Path, Sequence[str] | None, Collection[str]], Iterator[Row]] | None = None


def _separated(records: Callable[[Path], Iterator[separated.Record]]) -> Format:
    return Format(
        lambda path, columns: separated.separated(path, records, columns),
        partial(separated.names_of, records=records),
    )


FORMATS: Mapping[str, Format] = {
    ".csv": _separated(separated.csv_records),
    ".tsv": _separated(separated.tsv_records),
    ".jsonl": Format(lambda path, columns: jsonl.rows(path), jsonl.names_of, is_sparse=True),
    ".parquet": Format(parquet.rows, parquet.names_of, is_columnar=True, rows_with_files=parquet.rows),
}


def format_of(path: Path) -> Format:
    """The format of a file, by its name. Raises DataError."""
    found = FORMATS.get(suffix_of(path))
    if found is None:
        raise DataError(f"{path.name}: rows are read from {', '.join(FORMATS)}, the first three also as .gz")
    return found


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Every row, in order.

    Args:
        path: its name says what it is.
        columns: those that are read; None is all. Of JSONL all are read in any case.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """
    return format_of(path).rows(path, columns)


def column_names(path: Path) -> list[str]:
    """The names of a file's columns; of JSONL, those of its first rows. Raises DataError."""
    return format_of(path).names(path)


def named_rows(path: Path, columns: Sequence[str], *, may_lack: bool = False) -> Iterator[Row]:
    """Every row, with exactly these columns.

    Args:
        path: its name says what it is.
        columns: those that are read.
        may_lack: a row of JSONL that lacks some of them has None there; otherwise it is a bad row.

    Raises:
        DataError: the file cannot be read, or has no such column in any row.
    """
    rows = read_rows(path, columns)
    return _objects(path, rows, columns, may_lack) if format_of(path).is_sparse else rows


def _objects(path: Path, rows: Iterator[Row], columns: Sequence[str], may_lack: bool) -> Iterator[Row]:
    """Rows of JSONL by column. Raises DataError at the end for a column that no row had."""
    unseen, others = dict.fromkeys(columns), dict[str, None]()
    has_rows = False
    for row in rows:
        content = row.content
        if row.fault or not isinstance(content, dict):
            yield row if row.fault else row._replace(fault=f"{_what(content)}, expected an object")
            continue
        has_rows = True
        if unseen:
            others.update(dict.fromkeys(list(content)[:20]) if len(others) < 20 else {})
            unseen = {name: None for name in unseen if name not in content}
        try:
            yield Row(row.unit, row.number, {name: content[name] for name in columns})
        except KeyError:
            values = {name: content.get(name) for name in columns}
            yield Row(row.unit, row.number, values, "" if may_lack else _missing(columns, list(content)))
    if has_rows and unseen:
        name = next(iter(unseen))
        raise DataError(
            f"{path.name}: no row has {name!r}; {closest(name, list(others))}some have {_list(others)}"
        )


def _missing(columns: Sequence[str], names: Sequence[str]) -> str:
    missing = [name for name in columns if name not in names]
    hint = closest(missing[0], [name for name in names if name not in columns])
    return f"{', '.join(missing)} missing{f'; {hint.strip()}' if hint else ''}"


def _list(names: Mapping[str, None]) -> str:
    return ", ".join(list(names)[:20])


def _what(value: object) -> str:
    return {list: "a list", str: "a bare string", type(None): "null"}.get(type(value), "a bare value")
