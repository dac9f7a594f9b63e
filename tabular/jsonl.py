"""JSONL (RFC 8259, one value a line): JSON in the strict sense, without what Python's reader lets pass.

A key that comes twice, NaN and Infinity, half of a character (a lone surrogate) and values nested deeper
than DEEPEST make a bad row. Integers stay exact, however long. Blank lines are no rows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tabular.lines import Lines
from tabular.rows import Row, cut

DEEPEST = 64  # levels of lists and objects
_MAY_BE_HALF = re.compile(r"\\u[dD][89a-fA-F]")
NAMED_ROWS = 1000  # rows whose keys are taken for the columns of a file


def rows(path: Path) -> Iterator[Row]:
    """Every value, of whatever type. Raises DataError."""
    lines, unit = Lines(path), f"{path.name}, line"
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        fault = lines.fault(number, number) if lines.faults else ""
        if fault:
            yield Row(unit, number, line.rstrip("\r\n"), fault)
            continue
        try:
            yield Row(unit, number, strict_json(line))
        except (ValueError, RecursionError) as error:
            yield Row(unit, number, line.rstrip("\r\n"), reason(line, error))


def names_of(path: Path) -> list[str]:
    """The keys of the first NAMED_ROWS objects, in order of appearance. Raises DataError."""
    objects = (row.content for row in islice(rows(path), NAMED_ROWS) if isinstance(row.content, dict))
    return list(dict.fromkeys(name for one in objects for name in one))


class _FaultError(ValueError):
    """Something that Python's reader lets pass."""


def strict_json(text: str) -> Any:
    """The value of a text of JSON. Raises ValueError or RecursionError; `reason` says why."""
    value = _DECODER.decode(text)
    if _MAY_BE_HALF.search(text) and _has_lone_surrogate(value):
        raise _FaultError("half of a character (a lone surrogate)")
    if text.count("[") + text.count("{") > DEEPEST and _is_deeper(value, DEEPEST):
        raise RecursionError
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _FaultError(f"the key {cut(twice)!r} comes twice")
    return found


def _constant(name: str) -> Any:
    raise _FaultError(f"{name} is no JSON; write null for a missing value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    entries = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(entry, levels - 1) for entry in entries)


def reason(line: str, error: Exception) -> str:
    """Why `strict_json` refused a text."""
    if isinstance(error, RecursionError):
        return f"nested deeper than {DEEPEST} levels"
    if isinstance(error, _FaultError):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        hint = "; write each object on one line" if line.strip() in ("{", "[") else ""
        return f"no JSON: {error.msg} at character {error.pos + 1}{hint}"
    return f"no JSON: {cut(str(error), 120)}"
