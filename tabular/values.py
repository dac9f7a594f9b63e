"""Values of rows as what a reader wants them for: text, ids, finite numbers.

Every function raises ValueError with a sentence that has no place in it: the reader knows file, line and
column. Times are columns, and in `tabular.times`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from bundle.values import number_in
from tabular.rows import cut

LIST_SEPARATOR = "|"
_EXACT = 2**53  # whole floats below it are exact
_WHOLE_FLOAT = re.compile(r"-?\d+\.0+", re.ASCII)


def text_of(value: Any) -> str:
    """A value of a typed file as it would stand in a CSV; None is the empty text.

    A whole float is written as an integer: pandas makes floats of integers that have a missing value among
    them. A list's entries are joined by LIST_SEPARATOR.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, (float, Decimal)):
        return _text_of_number(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dict):
        raise ValueError("an object; give each of its values a column of its own")
    if isinstance(value, (list, tuple)):
        entries = [text_of(entry) for entry in value]
        if any(LIST_SEPARATOR in entry for entry in entries):
            raise ValueError(f"an entry of a list holds {LIST_SEPARATOR!r}; replace it by another sign")
        return LIST_SEPARATOR.join(entries)
    return str(value)


def _text_of_number(value: float | Decimal) -> str:
    if math.isnan(value):
        return ""
    if math.isinf(value):
        raise ValueError(f"{value} is no finite number; leave it empty if it is missing")
    if value == int(value) and (isinstance(value, Decimal) or abs(value) < _EXACT):
        return str(int(value))
    return f"{value:f}" if isinstance(value, Decimal) else repr(value)


def number_of_text(text: str) -> float | None:
    """A finite number; None if there is nothing but blanks."""
    text = text.strip()
    return number_in(text) if text else None


def are_whole_floats(values: Iterable[str]) -> bool:
    """Whether ids are integers that some tool wrote as floats, "1001.0": all of them, and there is one."""
    said = [text for value in values if (text := value.strip())]
    return bool(said) and all(_WHOLE_FLOAT.fullmatch(text) for text in said)


def id_of_text(text: str, *, is_whole_float: bool = False) -> str:
    """An id without the blanks around it; "" if it is missing.

    Args:
        text: as it stands in the file.
        is_whole_float: all ids of the column are "1001.0", which means "1001" (`are_whole_floats`).
    """
    text = text.strip()
    if not (is_whole_float and text):
        return text
    if not _WHOLE_FLOAT.fullmatch(text):
        raise ValueError(f"the id {cut(text)!r} is no whole number, and those before are ('1001.0')")
    return text.partition(".")[0]
