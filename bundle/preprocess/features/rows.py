"""Features in the rows of a file: each in the column of its name.

A value that is absent, null or an empty string is missing. Where a file has nothing but strings, a number is
read from one and a list, such as a history, from JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from bundle.preprocess.kind import Columns, Schema


def columns(schema: Schema, column: str | None) -> Columns:
    """Return the columns of a model's features; a file has as many of them as it has, one at least."""
    features: Mapping[str, Schema] = schema["properties"]

    def value(row: Any) -> Any:
        if not isinstance(row, Mapping):
            raise ValueError("expected an object of features")
        found = {name: _value(row.get(name), name, feature) for name, feature in features.items()}
        return {name: one for name, one in found.items() if one is not None}

    return Columns(tuple(features), are_all_needed=False, value=value)


def _value(value: Any, name: str, feature: Schema) -> Any:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    types = feature.get("type", [])
    if isinstance(value, str) and ("number" in types or "array" in types):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError(f"{name} is no {'list in JSON' if 'array' in types else 'number'}") from None
    if "string" in types and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an id that some tool took for a number
    return value
