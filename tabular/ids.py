"""The ids of a column, as people write them and tools change them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from tabular.reader import named_rows
from tabular.rows import Row
from tabular.values import are_whole_floats, id_of_text, text_of

# What tools write where an id is missing; it stays an id, since a thing may be called so, and is told.
MARKS_OF_NOTHING = frozenset({"NaN", "nan", "NULL", "null", "None", "<NA>", "N/A", "#N/A", "\\N"})
LOOKED_AT = 1000  # rows by which a column is taken for whole numbers written as floats


class IdColumn:
    """Reads the ids of one column: without the blanks around them, and "1001.0" as 1001 where all are so.

    pandas writes an integer column as floats where one id is missing, and 1001.0 would be an id of its own.

    Args:
        column: of the file.
        is_whole_float: it is one of `whole_float_columns`.
    """

    def __init__(self, column: str, *, is_whole_float: bool) -> None:
        self._column, self._is_whole_float, self._blanks = column, is_whole_float, 0
        self._marks: dict[str, int] = {}

    def of(self, text: str) -> str:
        """The id; "" if it is missing. Raises ValueError with a sentence."""
        if text in MARKS_OF_NOTHING:
            self._marks[text] = self._marks.get(text, 0) + 1
            return text
        found = id_of_text(text, is_whole_float=self._is_whole_float)
        self._blanks += len(found) < len(text) and bool(found) and text != text.strip()
        return found

    def note(self) -> str:
        """What was done to the ids, or ""."""
        done = ["whole numbers written as floats: 1001.0 is 1001"] if self._is_whole_float else []
        done += [f"{self._blanks:,} had blanks around them, which are left out"] if self._blanks else []
        done += [
            f"{count:,} are {mark!r}, taken for an id; if it means none: data.where {self._column} != {mark}"
            for mark, count in self._marks.items()
        ]
        return f"ids in {self._column}: {'; '.join(done)}" if done else ""


def whole_float_columns(path: Path, columns: Sequence[str]) -> frozenset[str]:
    """Those of some columns whose ids are all "1001.0", by the first LOOKED_AT rows. Raises DataError."""
    rows = [row for row in islice(named_rows(path, columns, may_lack=True), LOOKED_AT) if not row.fault]
    return frozenset(column for column in columns if are_whole_floats([_text(row, column) for row in rows]))


def _text(row: Row, column: str) -> str:
    try:
        return text_of(row.content[column])
    except ValueError:  # told when the row is read
        return ""
