"""CSV and TSV with a line of names.

CSV is RFC 4180 read strictly: a quoted field may hold commas, quotes written twice, and line breaks; nothing
stands between its last quote and the next comma. TSV has no line breaks or tabs in its fields; a field that
is quoted as a whole, as spreadsheets and pandas write one that holds quotes, is read without them.
Blank lines are no rows. Blanks around the names of columns are no part of them. Columns without a name at the
end of the first line, as a comma after the last name makes them, must be empty in every row.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from tabular.errors import DataError
from tabular.lines import LONGEST_LINE, Lines
from tabular.rows import Row, cut, refuse_bad_names, refuse_missing

_QUOTE = '"'
_STRAY = (
    'characters between a closing quote and the next comma; inside a quoted field write a quote twice ("")'
)


SWALLOWED = 3  # lines of one field, each of as many parts as a row has fields, that are taken for rows


class Record(NamedTuple):
    """The fields of a row, the number of its first line, and what is wrong with it."""

    line: int
    fields: list[str]
    fault: str = ""


def csv_records(path: Path) -> Iterator[Record]:
    """The rows of a CSV, its line of names among them.

    Raises:
        DataError: a quote is never closed, or closed in a way that no quote could be, lines later. What
            belongs to which row cannot be known then.
    """
    # A limit of the process: only ever raised, so that no two readers take it from each other.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    lines = Lines(path)
    reader = csv.reader(lines, strict=True)
    first = 1
    while True:
        try:
            for fields in reader:
                last = reader.line_num
                if fields:
                    fault = lines.fault(first, last) if lines.faults else ""
                    yield Record(first, fields, fault or (_swallowed(fields) if last > first else ""))
                first = last + 1
            return
        except csv.Error as error:
            last = reader.line_num
            if last > first or "unexpected end" in str(error):
                raise _unclosed(path, first, last) from None
            yield Record(first, [], _STRAY if "expected after" in str(error) else str(error))
            first = last + 1


def tsv_records(path: Path) -> Iterator[Record]:
    """The rows of a TSV, its line of names among them. Raises DataError."""
    lines = Lines(path)
    for number, line in enumerate(lines, start=1):
        if line := line.rstrip("\r\n"):
            fault = lines.fault(number, number) if lines.faults else ""
            fields = line.split("\t")
            yield Record(number, list(map(_unquoted, fields)) if _QUOTE in line else fields, fault)


def separated(
    path: Path, records: Callable[[Path], Iterator[Record]], columns: Sequence[str] | None
) -> Iterator[Row]:
    """The rows by column, only the given ones or all. Raises DataError."""
    rows = records(path)
    header = next(rows, None)
    names = _names(path, header)
    refuse_missing(path.name, columns or (), names)
    wanted = names if columns is None else list(dict.fromkeys(columns))
    pick = _picker([names.index(name) for name in wanted])
    first = next(rows, None)
    if header is None or first is None:
        return
    unit, named = f"{path.name}, line", len(names)
    # A comma may follow the last name and no row's last field: the first row tells how wide all are.
    width = named if len(first.fields) == named else len(header.fields)
    for line, fields, fault in chain([first], rows):
        if not fault and len(fields) == width and not (width > named and any(fields[named:])):
            yield Row(unit, line, dict(zip(wanted, pick(fields), strict=True)))
        else:
            yield Row(unit, line, fields, fault or _wrong_width(fields, width, named))


def names_of(path: Path, records: Callable[[Path], Iterator[Record]]) -> list[str]:
    """The names of the columns, as far as they have one. Raises DataError."""
    return [name for name in _names(path, next(records(path), None)) if name]


def _names(path: Path, header: Record | None) -> list[str]:
    if header is None:
        raise DataError(f"{path.name} is empty; expected a line of column names")
    if header.fault:
        raise DataError(f"{path.name}, line {header.line}: {header.fault}")
    names = [name.strip() for name in header.fields]
    while len(names) > 1 and not names[-1]:
        names.pop()
    if len(names) == 1 and names[0].lower().startswith("sep="):
        raise DataError(f"{path.name}: the first line is for Excel alone, {cut(names[0])!r}; take it out")
    refuse_bad_names(path.name, names)
    for sign, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars"), (",", "commas")):
        if len(names) == 1 and sign in names[0]:
            raise DataError(
                f"{path.name} has one column, {cut(names[0])!r}: its fields are parted by {word}; "
                "commas part them in .csv, and tabs in .tsv"
            )
    return names


def _picker(positions: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda fields: [fields[position] for position in positions]


def _wrong_width(fields: Sequence[str], width: int, named: int) -> str:
    if len(fields) == width:
        return f"a value in column {width}, which has no name in the first line"
    fault = f"{len(fields)} fields, expected {width}"
    breaks = sum(field.count("\n") for field in fields)
    return f"{fault}; a quoted field takes up {breaks + 1} lines, is its quote closed?" if breaks else fault


def _swallowed(fields: Sequence[str]) -> str:
    """What tells that a field has taken rows in: a quote that was never closed found one to close it."""
    commas = len(fields) - 1
    for lines in (field.splitlines()[1:] for field in fields):
        if commas and len(lines) >= SWALLOWED and all(line.count(",") == commas for line in lines):
            return (
                f"a quoted field takes up {len(lines) + 1} lines, and each looks like a row; is its quote "
                "closed where it should be?"
            )
    return ""


def _unquoted(field: str) -> str:
    """The text of a field that is quoted as a whole; any other as it is."""
    inner = field[1:-1]
    if len(field) < 2 or field[0] != _QUOTE or field[-1] != _QUOTE or _QUOTE in inner.replace('""', ""):
        return field
    return inner.replace('""', _QUOTE)


def _unclosed(path: Path, first: int, last: int) -> DataError:
    """Say where the quote was opened, and what closes it, by reading the lines of that row again."""
    opened, is_quoted, is_closed, at_start = first, False, False, True
    for number, line in enumerate(islice(Lines(path), first - 1, last), start=first):
        for sign in line:
            if is_quoted:
                is_quoted, is_closed = sign != _QUOTE, sign == _QUOTE
            elif is_closed and sign not in ',"\r\n':
                return DataError(
                    f"{path.name}, line {opened}: the quote that opens here closes amid line {number}; "
                    'close it where its field ends, and inside a quoted field write a quote twice ("")'
                )
            else:
                if sign == _QUOTE and (at_start or is_closed):
                    is_quoted, opened = True, opened if is_closed else number
                is_closed, at_start = False, sign == ","
    return DataError(f"{path.name}, line {opened}: the quote that opens here is never closed")
