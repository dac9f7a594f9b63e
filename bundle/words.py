"""What pydantic found wrong, in our words: the place, and what belongs there; never the value.

Of files and settings, which people write. One table: a kind of mistake that is not in it keeps
pydantic's words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_NUMBER, _WHOLE = "expected a number", "expected a whole number"

WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here; is it misspelt?",
    "value_error": "{error}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "expected a smaller number",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "expected a finite number",
    "greater_than_equal": "expected at least {ge}",
    "greater_than": "expected more than {gt}",
    "less_than_equal": "expected at most {le}",
    "less_than": "expected less than {lt}",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected a text",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected at least {min_length} of them",
    "too_long": "expected at most {max_length} of them",
    "literal_error": "expected {expected}",
    "enum": "expected {expected}",
    "list_type": "expected a list",
    "dict_type": "expected an object, in TOML a table",
    "model_type": "expected an object, in TOML a table",
    "model_attributes_type": "expected an object, in TOML a table",
    "path_type": "expected the path of a file",
    "json_invalid": "is no valid JSON",
    "json_type": "is no valid JSON",
    "date_from_datetime_inexact": "expected a date",
    "date_from_datetime_parsing": "expected a date",
    "date_type": "expected a date",
    "datetime_type": "expected a date, or a date and a time",
}

NAME, DIGEST = r"^[a-z0-9][a-z0-9._-]{0,63}$", r"^[0-9a-f]{64}$"
LANGUAGE = r"^[a-z]{2}$"
PATTERNS: Mapping[str, str] = {
    NAME: "expected 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit",
    DIGEST: "expected a SHA-256, 64 of 0-9 and a-f",
    LANGUAGE: "expected a language by ISO 639-1, two of a-z, as en",
}


def first_mistake(error: ValidationError) -> tuple[tuple[str, ...], str]:
    """The place of the first mistake, and what is wrong there."""
    first = error.errors(include_url=False, include_input=False)[0]
    return tuple(map(str, first["loc"])), said(first)


def first_error(error: ValidationError) -> str:
    """The first mistake as a sentence: `files.model.onnx.size: expected a whole number`."""
    place, mistake = first_mistake(error)
    return f"{'.'.join(place)}: {mistake}" if place else mistake


def said(mistake: Mapping[str, Any]) -> str:
    """One mistake, as pydantic tells it, in our words."""
    context = mistake.get("ctx", {})
    if mistake["type"] == "string_pattern_mismatch":
        return PATTERNS.get(context["pattern"], f"expected what matches {context['pattern']}")
    form = WORDS.get(mistake["type"])
    return form.format(**context) if form is not None else str(mistake["msg"])
