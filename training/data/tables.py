"""Rows of a file, each a few named fields or the reason why it is bad: JSONL, CSV, TSV and Parquet.

JSONL, CSV and TSV may be gzipped. A file that cannot be read at all, or has no such column, is an error; a
row that lacks a field, or has something else in it, is a bad row, and the reader is told which and why.
Knows nothing of texts, pairs or labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from training.data.files import csv_rows, lines, refuse_absent
from training.errors import ConfigError

LISTED = 20  # bad rows that are named at the end
HEAD = 1000  # lines of JSONL whose fields are its columns
LIST_SEPARATOR = "|"


@dataclass(frozen=True)
class TableRow:
    """One row: where it stands, what it holds by field, or why it cannot be used."""

    place: str
    values: Mapping[str, Any]
    fault: str = ""


@dataclass
class BadRows:
    """Rows that cannot be used: `stop` at the first, or `skip` and remember them."""

    policy: Literal["stop", "skip"] = "stop"
    found: list[str] = field(default_factory=list)

    def add(self, row: TableRow, fault: str) -> None:
        """Raises ConfigError where one is enough."""
        message = f"{row.place}: {fault}"
        if self.policy == "stop":
            raise ConfigError(message)
        self.found.append(message)

    def report(self) -> str:
        """List how many there were, and the first of them; empty if there were none."""
        if not self.found:
            return ""
        more = [f"and {len(self.found) - LISTED:,} more"] if len(self.found) > LISTED else []
        return "\n  ".join([f"left out {len(self.found):,} bad rows:", *self.found[:LISTED], *more])


def named_rows(path: Path, columns: Mapping[str, str]) -> Iterator[TableRow]:
    """The given columns of a file, by the names of their fields.

    Args:
        path: its ending says what it is.
        columns: field to column.

    Raises:
        ConfigError: the file cannot be read, is of no known kind, or has no such column.
    """
    name = path.name.removesuffix(".gz")
    refuse_absent(path)
    reader = READERS.get(Path(name).suffix)
    if reader is None:
        raise ConfigError(f"{path.name}: named columns are read from {', '.join(READERS)}")
    yield from reader(path, columns)


def columns_of(path: Path) -> list[str]:
    """The names of a file's columns; of JSONL, those of its first rows. Raises ConfigError."""
    refuse_absent(path)
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix == ".jsonl":
        rows = (_object(line) for line in islice(lines(path), HEAD))
        return list(dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row))
    if suffix == ".parquet":
        return _parquet_columns(path)
    if suffix == ".tsv":
        return next(iter(lines(path)), "").rstrip("\r\n").split("\t")
    if suffix == ".csv":
        return next(csv_rows(path), (1, list[str]()))[1]
    raise ConfigError(f"{path.name}: its columns are known by {', '.join(READERS)}")


def as_text(value: Any, place: str) -> str:
    """A value of a typed file as it would stand in a CSV; a list's entries are joined by `|`.

    Raises:
        ConfigError: it is an object, or an entry holds that sign.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, dict):
        raise ConfigError(f"{place}: an object; give each of its values a column of its own")
    if not isinstance(value, list):
        return str(value)
    entries = [as_text(entry, place) for entry in value]
    if any(LIST_SEPARATOR in entry for entry in entries):
        raise ConfigError(f"{place}: an entry of a list holds {LIST_SEPARATOR!r}; replace it by another sign")
    return LIST_SEPARATOR.join(entries)


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _jsonl(path: Path, columns: Mapping[str, str]) -> Iterator[TableRow]:
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path.name}, line {number}"
        try:
            content = json.loads(line)
        except ValueError as error:
            yield TableRow(place, {}, f"no JSON: {error}")
            continue
        if not isinstance(content, dict):
            yield TableRow(place, {}, f"{line.strip()[:40]} is no JSON object")
            continue
        missing = [column for column in columns.values() if column not in content]
        values = {name: content.get(column) for name, column in columns.items()}
        yield TableRow(place, values, f"{', '.join(missing)} missing" if missing else "")


def _separated(
    path: Path, columns: Mapping[str, str], rows: Iterator[tuple[int, list[str]]]
) -> Iterator[TableRow]:
    _, header = next(rows, (1, list[str]()))
    _refuse_missing(path, columns, header)
    position = {name: header.index(column) for name, column in columns.items()}
    for number, fields in rows:
        place = f"{path.name}, line {number}"
        if len(fields) == len(header):
            yield TableRow(place, {name: fields[at] for name, at in position.items()})
        else:
            yield TableRow(place, {}, f"{len(fields)} fields, expected {len(header)}")


def named_csv(path: Path, columns: Mapping[str, str]) -> Iterator[TableRow]:
    """Read CSV with a line of names, whatever the file is called."""
    return _separated(path, columns, csv_rows(path))


def _tsv(path: Path, columns: Mapping[str, str]) -> Iterator[TableRow]:
    rows = ((number, line.rstrip("\r\n").split("\t")) for number, line in enumerate(lines(path), start=1))
    return _separated(path, columns, (row for row in rows if row[1] != [""]))


def _parquet(path: Path, columns: Mapping[str, str]) -> Iterator[TableRow]:
    import pyarrow  # noqa: PLC0415  # large, and only needed for this format
    from pyarrow import parquet  # noqa: PLC0415

    name, number = path.name, 0
    try:
        with parquet.ParquetFile(path) as file:
            _refuse_missing(path, columns, file.schema_arrow.names)
            for batch in file.iter_batches(columns=list(dict.fromkeys(columns.values()))):
                for values in zip(*(batch.column(at).to_pylist() for at in columns.values()), strict=True):
                    number += 1
                    yield TableRow(f"{name}, row {number}", dict(zip(columns, values, strict=True)))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{name}, after row {number}: it is no sound Parquet file: {reason}") from None


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow  # noqa: PLC0415  # as above
    from pyarrow import parquet  # noqa: PLC0415

    try:
        return list(parquet.read_schema(path).names)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path.name}: it is no sound Parquet file: {reason}") from None


READERS: Mapping[str, Callable[[Path, Mapping[str, str]], Iterator[TableRow]]] = {
    ".jsonl": _jsonl,
    ".csv": named_csv,
    ".tsv": _tsv,
    ".parquet": _parquet,
}


def _refuse_missing(path: Path, columns: Mapping[str, str], header: Sequence[str]) -> None:
    missing = [column for column in columns.values() if column not in header]
    if missing:
        raise ConfigError(
            f"{path.name} has the columns {', '.join(header) or 'none'}; "
            f"expected {' and '.join(columns.values())}"
        )
