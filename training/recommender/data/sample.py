"""The first rows of a file, as text by column, and the guesses at what each column holds.

file -> columns that can be read -> rows -> guesses (`training.recommender.data.columns`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tabular import BadRows, column_names, format_of, named_rows
from tabular.values import text_of
from training.data.files import refuse_absent
from training.data.tables import as_config_error
from training.errors import ConfigError
from training.recommender.data.columns import Guess, Table, guess_kind, is_time

ROWS = 50_000  # looked at, of each file
CELLS = 2_000_000  # values likewise, so that wide files take no more time and memory than long ones
FEWEST_ROWS = 1000
PROBED = 100  # rows by which a column is taken for one that cannot be read


@dataclass(frozen=True)
class File:
    """The first rows of a file, and the guesses at its columns."""

    path: Path
    table: Table
    guesses: Sequence[Guess]
    bad_rows: int


def read(path: Path) -> File:
    """A file's first rows as text: CSV, TSV, JSONL or Parquet. Raises ConfigError."""
    refuse_absent(path)
    bad = BadRows("skip")
    with as_config_error():
        header = column_names(path)
        unreadable = _unreadable(path, [name for name in header if name.strip()])
        columns: dict[str, list[str]] = {
            name: [] for name in header if name.strip() and not unreadable.get(name)
        }
        rows = bad.counting(named_rows(path, list(columns), may_lack=True), path.name)
        for row in islice(rows, max(FEWEST_ROWS, min(ROWS, CELLS // max(1, len(columns))))):
            for name, value in row.content.items():
                columns[name].append(_text(value))
    if columns and all(name in values or is_time(name) for name, values in columns.items()):
        raise ConfigError(f"{path.name}: the first line looks like a row; write one of names above it")
    if not columns or not next(iter(columns.values())):
        raise ConfigError(f"{path.name} has no rows" + (f"; {bad.report()}" if bad.found else ""))
    guesses = [guess_kind(name, values) for name, values in columns.items()]
    guesses += [Guess(name, "category", fault, idle=fault) for name, fault in unreadable.items()]
    columns |= {name: [""] * bad.files[-1].used for name in unreadable}
    return File(path, columns, guesses, bad.found)


def _unreadable(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Columns that have no value as text in any of the first rows, and why; training could not read them.

    Columns of Parquet are tried one by one: what is wrong with one takes no row from the others.
    """
    is_columnar = format_of(path).is_columnar
    faults: dict[str, list[str]] = {name: [] for name in names}
    for group in [[name] for name in names] if is_columnar else [names]:
        for row in islice(named_rows(path, group, may_lack=True), PROBED):
            if is_columnar or not row.fault:
                for name in group:
                    faults[name].append(row.fault or _fault(row.content[name]))
    return {name: found[0] for name, found in faults.items() if found and all(found)}


def _fault(value: object) -> str:
    try:
        text_of(value)
    except ValueError as error:
        return str(error)
    return ""


def _text(value: object) -> str:
    """Without the blanks around it, which training does not read either."""
    try:
        return text_of(value).strip()
    except ValueError:
        return ""  # training names it, if the column is used
