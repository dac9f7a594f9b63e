"""Rows of JSONL, CSV and Parquet as inputs of a model, one at a time; a bad row is one that says why.

A text model reads one column. A recommender's model reads the columns that its schema declares, and leaves
the others; a value that is absent, null or an empty string is missing. In CSV a list, such as a history,
is JSON. JSONL and CSV may be gzipped.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from encodery.bulk.errors import BulkError

BATCH = 1024  # rows of a Parquet file in memory at once
LONGEST_FIELD = 1 << 24  # characters of a CSV field; a longer one is an unclosed quote


@dataclass(frozen=True)
class Reading:
    """What of a row is read.

    Attributes:
        text: the column with the text; None for a model of features.
        features: columns of features, with their JSON Schema.
        keep: further columns that go into the output as they are.
    """

    text: str | None
    features: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keep: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Every column that may be read."""
        return list(dict.fromkeys([*([self.text] if self.text else self.features), *self.keep]))


@dataclass(frozen=True)
class Row:
    """One row.

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


def read_rows(path: Path, reading: Reading) -> Iterator[Row]:
    """Every row, in order. Raises BulkError if the file cannot be read at all."""
    records = _reader(path)(path, reading)
    return (_row(number, record, reading) for number, record in enumerate(records))


def count_rows(path: Path) -> int:
    """How many there are. Raises BulkError."""
    reader = _reader(path)
    if reader is _parquet:
        from pyarrow import parquet

        with _readable(path), parquet.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    return sum(1 for _ in reader(path, Reading(text=None)))


@dataclass(frozen=True)
class _Fault:
    """A record that cannot be taken apart."""

    reason: str
    source: Any


def _row(number: int, record: Any, reading: Reading) -> Row:
    if isinstance(record, _Fault):
        return Row(number, None, {}, record.source, record.reason)
    kept = {name: record.get(name) for name in reading.keep} if isinstance(record, Mapping) else {}
    try:
        return Row(number, _value(record, reading), kept, record)
    except ValueError as error:
        return Row(number, None, kept, record, str(error))


def _value(record: Any, reading: Reading) -> Any:
    if reading.text is not None:
        found = record.get(reading.text) if isinstance(record, Mapping) else record
        if not isinstance(found, str):
            raise ValueError(f"there is no text in {reading.text!r}; name the column by --text")
        return found
    if not isinstance(record, Mapping):
        raise ValueError("expected an object of features")
    found = {name: _feature(record.get(name), name, schema) for name, schema in reading.features.items()}
    return {name: value for name, value in found.items() if value is not None}


def _feature(value: Any, name: str, schema: Mapping[str, Any]) -> Any:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    types = schema.get("type", [])
    if isinstance(value, str) and ("number" in types or "array" in types):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(f"{name} is no {'list in JSON' if 'array' in types else 'number'}") from None
    if "string" in types and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id that some tool took for a number
    return value


def _jsonl(path: Path, reading: Reading) -> Iterator[Any]:
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


def _csv(path: Path, reading: Reading) -> Iterator[Any]:
    with _readable(path), _long_fields(), _open(path) as file:
        text = (line.decode(errors="replace") for line in file)
        rows = csv.reader(text)
        header = next(rows, [])
        _refuse_absent(path, reading, header)
        for row in rows:
            if len(row) == len(header):
                yield dict(zip(header, row, strict=True))
            elif row:
                yield _Fault(f"{len(row)} fields, expected {len(header)}", row)


def _parquet(path: Path, reading: Reading) -> Iterator[Any]:
    from pyarrow import parquet

    with _readable(path), parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _refuse_absent(path, reading, names)
        columns = [name for name in reading.columns if name in names]
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            yield from batch.to_pylist()


_READERS: Mapping[str, Callable[[Path, Reading], Iterator[Any]]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}


def _reader(path: Path) -> Callable[[Path, Reading], Iterator[Any]]:
    reader = _READERS.get(Path(path.name.removesuffix(".gz")).suffix)
    if reader is None:
        raise BulkError(f"{path.name}: read are {', '.join(_READERS)}, and the first two gzipped")
    return reader


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


@contextmanager
def _long_fields() -> Iterator[None]:
    """The limit belongs to the process: others who read CSV get theirs back."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


class _readable:  # a context manager, used as a function
    """Turns what goes wrong with the file as a whole into one sentence."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError):
            raise BulkError("Parquet needs pyarrow: pip install pyarrow") from None
        is_arrow = type(error).__module__.startswith("pyarrow") if error else False
        if isinstance(error, (OSError, EOFError, csv.Error)) or is_arrow:
            raise BulkError(f"{self._path}: {str(error).splitlines()[0]}") from None


def _refuse_absent(path: Path, reading: Reading, header: Sequence[str]) -> None:
    wanted = [*([reading.text] if reading.text else []), *reading.keep]
    if absent := [name for name in wanted if name not in header]:
        raise BulkError(
            f"{path.name} has no column {', '.join(absent)}; it has: {', '.join(header) or 'none'}"
        )
    if reading.features and not set(reading.features) & set(header):
        raise BulkError(f"{path.name} has none of the model's columns: {', '.join(reading.features)}")
