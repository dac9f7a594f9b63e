"""Reads rows of JSONL, CSV and Parquet as inputs of a model, one at a time; a bad row says why it is bad.

Which columns hold an input, and how a value is read from them, is the business of the input's kind. JSONL
and CSV may be gzipped.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from bundle.preprocess import Columns
from encodery.bulk.errors import BulkError

BATCH = 1024  # rows of a Parquet file in memory at once
LONGEST_FIELD = 1 << 24  # characters of a CSV field; a longer one is an unclosed quote


@dataclass(frozen=True)
class Selection:
    """The columns that are read.

    Attributes:
        inputs: those that hold an input of the model.
        keep: further ones that go into the output as they are.
    """

    inputs: Columns
    keep: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """Every column that may be read."""
        return list(dict.fromkeys([*self.inputs.names, *self.keep]))


NOTHING = Selection(Columns((), are_all_needed=False, value=lambda row: None))


@dataclass(frozen=True)
class InputRow:
    """One row of a file.

    Attributes:
        number: from 0, bad rows counted.
        value: the input; meaningless if there is a fault.
        kept: what goes into the output as it is.
        source: the row as it was, for the file of bad rows.
    """

    number: int
    value: Any
    kept: Mapping[str, Any]
    source: Any
    fault: str = ""


def read_rows(path: Path, selection: Selection) -> Iterator[InputRow]:
    """Read every row, in order. Raises BulkError if the file cannot be read at all."""
    records = _reader(path)(path, selection)
    return (_row(number, record, selection) for number, record in enumerate(records))


def count_rows(path: Path) -> int:
    """Count the rows. Raises BulkError."""
    reader = _reader(path)
    if reader is _parquet:
        with _readable(path):
            from pyarrow import parquet

            with parquet.ParquetFile(path) as file:
                return int(file.metadata.num_rows)
    return sum(1 for _ in reader(path, NOTHING))


@dataclass(frozen=True)
class _Fault:
    """A record that cannot be taken apart."""

    reason: str
    source: Any


def _row(number: int, record: Any, selection: Selection) -> InputRow:
    if isinstance(record, _Fault):
        return InputRow(number, None, {}, record.source, record.reason)
    kept = {name: record.get(name) for name in selection.keep} if isinstance(record, Mapping) else {}
    try:
        return InputRow(number, selection.inputs.value(record), kept, record)
    except ValueError as error:
        return InputRow(number, None, kept, record, str(error))


def _jsonl(path: Path, selection: Selection) -> Iterator[Any]:
    with _readable(path), _open(path) as file:
        for line in file:
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if b"\\ud" in line.lower():  # an escaped half of a character, which no UTF-8 can hold
                    json.dumps(record, ensure_ascii=False).encode()
                yield record
            except UnicodeEncodeError:
                yield _Fault("it holds half of a character (a lone surrogate)", line.decode(errors="replace"))
            except ValueError as error:
                yield _Fault(f"no JSON: {error}", line.decode(errors="replace").rstrip("\n"))


def _csv(path: Path, selection: Selection) -> Iterator[Any]:
    with _readable(path), _long_fields(), _open(path) as file:
        text = (line.decode(errors="replace") for line in file)
        rows = csv.reader(text)
        header = next(rows, [])
        _refuse_absent(path, selection, header)
        for row in rows:
            if len(row) == len(header):
                yield dict(zip(header, row, strict=True))
            elif row:
                yield _Fault(f"{len(row)} fields, expected {len(header)}", row)


def _parquet(path: Path, selection: Selection) -> Iterator[Any]:
    with _readable(path):
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _refuse_absent(path, selection, names)
            columns = [name for name in selection.names if name in names]
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                yield from batch.to_pylist()


_READERS: Mapping[str, Callable[[Path, Selection], Iterator[Any]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}


def _reader(path: Path) -> Callable[[Path, Selection], Iterator[Any]]:
    reader = _READERS.get(Path(path.name.removesuffix(".gz")).suffix)
    if reader is None:
        raise BulkError(f"{path.name}: read are {', '.join(_READERS)}, and the first two gzipped")
    return reader


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _long_fields() -> Iterator[None]:
    """Allow long fields. The limit belongs to the process: others who read CSV get theirs back."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the file as a whole into one sentence."""
    try:
        yield
    except ModuleNotFoundError:
        raise BulkError("Parquet needs pyarrow: pip install pyarrow") from None
    except Exception as error:
        is_arrow = type(error).__module__.startswith("pyarrow")
        if not (is_arrow or isinstance(error, (OSError, EOFError, csv.Error))):
            raise
        raise BulkError(f"{path}: {str(error).splitlines()[0]}") from None


def _refuse_absent(path: Path, selection: Selection, header: Sequence[str]) -> None:
    inputs = selection.inputs
    needed = [*(inputs.names if inputs.are_all_needed else ()), *selection.keep]
    if absent := [name for name in needed if name not in header]:
        raise BulkError(
            f"{path.name} has no column {', '.join(absent)}; it has: {', '.join(header) or 'none'}"
        )
    if inputs.names and not set(inputs.names) & set(header):
        raise BulkError(f"{path.name} has none of the model's columns: {', '.join(inputs.names)}")
