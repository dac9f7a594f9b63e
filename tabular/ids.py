"""The ids of a column, as people write them and tools change them."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tabular.reader import named_rows
from tabular.rows import Row
from tabular.values import are_whole_floats, id_of_text, text_of

LOOKED_AT = 1000  # rows by which a column is taken for whole numbers written as floats


class IdColumn:
    """Reads the ids of one column: without the blanks around them, and "1001.0" as 1001 where all are so.

    pandas writes an integer column as floats where one id is missing, and 1001.0 would be an id of its own.

    Args:
        path: of the file; its first LOOKED_AT rows decide how its ids are written.
        column: of the file.
        is_upper: fold the case.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """

    def __init__(self, path: Path, column: str, *, is_upper: bool = False) -> None:
        self._column, self._is_upper, self._blanks = column, is_upper, 0
        rows = islice(named_rows(path, [column], may_lack=True), LOOKED_AT)
        self._is_whole_float = are_whole_floats([_text(row, column) for row in rows])

    def of(self, text: str) -> str:
        """The id; "" if it is missing. Raises ValueError with a sentence."""
        found = id_of_text(text, is_whole_float=self._is_whole_float)
        self._blanks += len(found) < len(text) and bool(found) and text != text.strip()
        return found.upper() if self._is_upper else found

    def note(self) -> str:
        """What was done to the ids, or ""."""
        done = ["whole numbers written as floats: 1001.0 is 1001"] if self._is_whole_float else []
        done += [f"{self._blanks:,} had blanks around them, which are left out"] if self._blanks else []
        return f"ids in {self._column}: {'; '.join(done)}" if done else ""


def _text(row: Row, column: str) -> str:
    try:
        return "" if row.fault else text_of(row.content[column])
    except ValueError:  # told when the row is read
        return ""
