"""One row of a file, in every format alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from bundle.values import nearest
from tabular.errors import DataError


class Row(NamedTuple):
    """Where a row stands and what it holds, or why it cannot be used.

    Attributes:
        unit: of the file and its parts, for example "log.csv, line".
        number: of the part where it begins, from 1.
        content: values by column; in JSONL whatever value the line is; of a row with a fault what there is
            of it.
        fault: why it cannot be used, or "".
    """

    unit: str
    number: int
    content: Any
    fault: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.unit} {self.number}"


def refuse_bad_names(file: str, names: Sequence[str]) -> None:
    """Raises DataError unless each column has a name of its own.

    The first may have none: it is the index that pandas writes, and nobody can ask for it.
    """
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip() and position > 1:
            raise DataError(f"{file}: column {position} has no name; give it one in the first line")
        if name in seen:
            raise DataError(f"{file} has two columns {cut(name)!r}; rename one of them")
        seen.add(name)
    if not any(name.strip() for name in names):
        raise DataError(f"{file}: the first line must name the columns; it is empty")


def refuse_missing(file: str, wanted: Sequence[str], names: Sequence[str]) -> None:
    """Raises DataError for a column that is not there, with the nearest that is."""
    for column in wanted:
        if column not in names:
            shown = ", ".join(cut(name) for name in names[:20]) or "none"
            raise DataError(f"{file} has no column {column!r}; {closest(column, names)}it has {shown}")


def closest(name: str, names: Sequence[str]) -> str:
    """Ask whether the nearest of the names was meant, whatever its case; "" if none is near."""
    same = [one for one in names if one.strip().lower() == name.strip().lower()]
    return f"did you mean {same[0]!r}? " if same else nearest(name, names)


def cut(text: str, most: int = 60) -> str:
    """The beginning of what stands in a file, for a message."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
