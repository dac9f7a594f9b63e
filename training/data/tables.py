"""Rows of the files that a config names, by the one reader (`tabular`); its errors are those of a config."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tabular import BadRows, DataError, Row, named_rows
from tabular.values import text_of
from training.data.files import refuse_absent
from training.errors import ConfigError

__all__ = ["BadRows", "Row", "as_config_error", "good_rows", "text_of_row"]


def good_rows(path: Path, columns: Sequence[str], bad: BadRows, *, may_lack: bool = False) -> Iterator[Row]:
    """The rows of a file without a fault, by column; `bad` counts all of them, and takes the others.

    Args:
        path: its name says what it is.
        columns: those that are read.
        bad: what is done with bad rows.
        may_lack: a row of JSONL may leave out what is missing.

    Raises:
        ConfigError: the file cannot be read, has no such column, or a bad row that is not to be skipped.
    """
    refuse_absent(path)
    with as_config_error():
        yield from bad.counting(named_rows(path, columns, may_lack=may_lack), path.name)


def text_of_row(row: Row) -> dict[str, str]:
    """A row's values by column as they would stand in a CSV. Raises ConfigError."""
    try:
        return {column: text_of(value) for column, value in row.content.items()}
    except ValueError:
        raise ConfigError(f"{row.place}, {_first_fault(row)}") from None


def _first_fault(row: Row) -> str:
    for column, value in row.content.items():
        try:
            text_of(value)
        except ValueError as error:
            return f"{column}: {error}"
    raise AssertionError(f"{row.place} has no fault")


@contextmanager
def as_config_error(key: str = "") -> Iterator[None]:
    """Say of an error of the data which key of the config names it."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise ConfigError(f"{key}: {error}" if key else str(error)) from None
