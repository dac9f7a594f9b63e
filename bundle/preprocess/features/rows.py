"""Features in the rows of a file: each in the column of its name.

A value that is absent, null, NaN or nothing but blanks is missing, and so is one within a list or a record of
it; blanks around a string are no part of it. Where a file has nothing but strings, a number is read from one,
and a list, such as a history, from JSON, from the text that Python gives of a list, or from entries parted by
`|`.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bundle.preprocess.kind import Columns, Schema
from bundle.values import number_in

SEPARATOR = "|"
_NUMERIC = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_PRINTED_BY_NUMPY = re.compile(r"""['"]\s+['"]""")


def columns(schema: Schema, column: str | None) -> Columns:
    """Return the columns of a model's features; a file has as many of them as it has, one at least."""
    features: Mapping[str, Schema] = schema["properties"]

    def value(row: Any) -> Any:
        if not isinstance(row, Mapping):
            raise ValueError("expected an object of features")
        found = {name: _value(row.get(name), name, feature) for name, feature in features.items()}
        return {name: one for name, one in found.items() if one is not None}

    ids = tuple(name for name, feature in features.items() if {"string", "integer"} <= set(_types(feature)))
    return Columns(tuple(features), are_all_needed=False, value=value, ids=ids)


def entries_in(text: str, separator: str = SEPARATOR) -> list[Any]:
    """The entries of a list that stands in a text: JSON, Python's own, or entries parted by a sign.

    Raises ValueError with a sentence, for a text in brackets that is neither.
    """
    text = text.strip()
    if not text.startswith("["):
        return [entry.strip() for entry in text.split(separator) if entry.strip()]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _literal(text)
    if not isinstance(found, list):
        raise ValueError(f'no list; write it in JSON, ["a", "b"], or its entries parted by {separator!r}')
    return found


def _literal(text: str) -> Any:
    """A list as Python, and so pandas, prints it; None for anything else."""
    if _PRINTED_BY_NUMPY.search(text):  # without commas, which Python would read as one string
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _value(value: Any, name: str, feature: Schema) -> Any:
    value = _plain(value)
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    types = {kind for one in (feature, *feature.get("anyOf", ())) for kind in _types(one)}
    try:
        return _of_text(value, types) if isinstance(value, str) else _of_number(value, types)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _types(feature: Schema) -> list[str]:
    types = feature.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _of_text(text: str, types: set[str]) -> Any:
    if "array" in types:
        return entries_in(text)
    if types >= {"number", "string"}:  # a time
        return number_in(text) if _NUMERIC.fullmatch(text) else text
    return number_in(text) if "number" in types else text


def _of_number(value: Any, types: set[str]) -> Any:
    """A number as the feature has it: where ids are meant, 1001.0 is "1001", as pandas makes of it."""
    if isinstance(value, Decimal):
        value = int(value) if value == value.to_integral_value() else float(value)
    is_id = "string" in types and "number" not in types and not isinstance(value, bool)
    if is_id and isinstance(value, (int, float)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return value


def _plain(value: Any) -> Any:
    """As it stands in a request: times as text, and nothing in place of what is missing in a record."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {
            name: one for name, one in zip(value, map(_plain, value.values()), strict=True) if one is not None
        }
    if isinstance(value, (float, Decimal)) and math.isnan(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
