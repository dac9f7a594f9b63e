"""Rows of a file as inputs of a model, one at a time; a bad row says why it is bad.

How files are read is the business of `tabular`; which columns hold an input, and how a value is read from
them, that of the input's kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tabular
from bundle.preprocess import Columns
from encodery.bulk import files
from encodery.bulk.errors import BulkError
from tabular import parquet
from tabular.ids import IdColumn, whole_float_columns
from tabular.rows import closest
from tabular.values import text_of

MOST_NAMES = 1000  # keys of JSONL that are remembered


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


@dataclass(frozen=True)
class InputRow:
    """One row of a file.

    Attributes:
        number: from 0, bad rows counted.
        line: where it begins, from 1; of Parquet, where there are no lines, its number from 1.
        value: the input; meaningless if there is a fault.
        kept: what goes into the output as it is.
        source: the row as it was, for the file of bad rows.
    """

    number: int
    line: int
    value: Any
    kept: Mapping[str, Any]
    source: Any
    fault: str = ""


@dataclass(frozen=True)
class Survey:
    """What a file holds, before anything is encoded.

    Attributes:
        rows: how many there are, bad ones counted.
        names: of the columns; of JSONL, the keys of its objects.
        has_others: some rows are no objects, but values that may be inputs themselves.
    """

    rows: int
    names: Sequence[str]
    has_others: bool = False


def survey(path: Path) -> Survey:
    """Read the whole file once, so that what stops the run does so at once. Raises DataError."""
    read = _format(path)
    if read.is_columnar:
        return Survey(parquet.count(path), read.names(path))
    names: dict[str, None] = {} if read.is_sparse else dict.fromkeys(read.names(path))
    rows, has_others = 0, False
    for row in read.rows(path, None):
        rows += 1
        if read.is_sparse and not row.fault:
            if isinstance(row.content, dict):
                if len(names) < MOST_NAMES:
                    names.update(dict.fromkeys(row.content))
            else:
                has_others = True
    return Survey(rows, list(names), has_others)


def check_columns(path: Path, found: Survey, selection: Selection) -> list[str]:
    """What is to be told of columns that the model has and the file lacks, a sentence each.

    Raises:
        BulkError: a column without which nothing can be encoded, or that is to be kept, is not there.
    """
    inputs, names = selection.inputs, found.names
    if found.has_others or not found.rows:
        return []
    absent = [name for name in selection.names if name not in names]
    needed = [*(inputs.names if inputs.are_all_needed else ()), *selection.keep]
    has = f"it has: {', '.join(names[:20]) or 'none'}"
    for name in absent:
        if name in needed:
            raise BulkError(f"{path.name} has no column {name}; {closest(name, names)}{has}")
    if len(absent) == len(inputs.names):
        hints = {closest(name, names) for name in absent} - {""}
        raise BulkError(
            f"{path.name} has none of the model's columns: {', '.join(inputs.names)}; {''.join(hints)}{has}"
        )
    return [
        f"{path.name} has no column {name}; {closest(name, names)}it is missing in every row"
        for name in absent
    ]


def read_rows(path: Path, selection: Selection) -> Iterator[InputRow]:
    """Read every row, in order. Raises DataError if the file cannot be read at all."""
    read = _format(path)
    names = () if read.is_sparse else read.names(path)
    asked = [name for name in selection.inputs.ids if name in names]
    whole = whole_float_columns(path, asked) if asked else ()
    ids = {name: IdColumn(name, is_whole_float=True) for name in whole}
    # Where columns are read apart, others are left out; elsewhere a bad row is kept whole.
    columns = [name for name in selection.names if name in names] if read.is_columnar else None
    folder, inputs = path if path.is_dir() else path.parent, selection.inputs
    if inputs.are_files and read.rows_with_files is not None:
        rows = read.rows_with_files(path, columns, inputs.names)
    else:
        rows = read.rows(path, columns)
    return (input_row(number, row, selection, ids, folder) for number, row in enumerate(rows))


def _format(path: Path) -> tabular.Format:
    return files.FOLDER if path.is_dir() else tabular.format_of(path)


def input_row(
    number: int, row: tabular.Row, selection: Selection, ids: Mapping[str, IdColumn], folder: Path
) -> InputRow:
    """A row as an input, or why it is none.

    Args:
        number: of the row, from 0.
        row: as it was read.
        selection: the columns that are read.
        ids: those that hold ids as floats.
        folder: that paths of files are relative to.
    """
    content = row.content
    if row.fault:
        return InputRow(number, row.number, None, {}, content, row.fault)
    kept = {name: content.get(name) for name in selection.keep} if isinstance(content, Mapping) else {}
    try:
        read = (
            content | {name: one.of(text_of(content[name])) for name, one in ids.items()} if ids else content
        )
        value = selection.inputs.value(read)
        if selection.inputs.are_files:
            value = files.content_of(value, folder)
        return InputRow(number, row.number, value, kept, content)
    except ValueError as error:
        return InputRow(number, row.number, None, kept, content, str(error))
