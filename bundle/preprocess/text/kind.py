"""The kind `text`: how texts stand in JSON, in files and in tensors, and what bounds them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from bundle.lexical import LEXICAL
from bundle.preprocess.base import Truncate
from bundle.preprocess.kind import (
    CHARS_PER_REQUEST,
    Columns,
    Kind,
    Limit,
    LimitSetting,
    Schema,
    Tensor,
    TensorType,
)
from bundle.preprocess.text.input import FIELD, Text, TextFacts, TokenIds
from bundle.preprocess.text.preprocessor import TextPreprocessor


def _columns(schema: Schema, column: str | None) -> Columns:
    name = column or FIELD

    def value(row: Any) -> Any:
        found = row.get(name) if isinstance(row, Mapping) else row
        if not isinstance(found, str):
            raise ValueError(f"there is no text in {name!r}; name the column by --column")
        return found

    return Columns((name,), are_all_needed=True, value=value)


def _from_tensors(schema: Schema, tensors: Mapping[str, Tensor]) -> list[Any]:
    if list(tensors) != [FIELD]:
        raise ValueError(f"this model takes one tensor, named {FIELD}, BYTES [n]")
    if not tensors[FIELD].is_flat:
        raise ValueError(f"{FIELD} is one text per input; its shape is [n] or [n, 1]")
    return [row[0] for row in tensors[FIELD].rows]


def _characters(one: Text | TokenIds) -> int:
    return len(one.text) if isinstance(one, Text) else 0  # ids have none, and their number is bounded as JSON


def _cut(one: Text, most: int, truncate: Truncate) -> Text:
    return one.cut(most, from_start=truncate == "start")


TEXT = Kind(
    name="text",
    noun="a text",
    plural="texts",
    json_schema={"type": "string", "minLength": 1, "description": "a text"},
    examples=("hello world", "good morning"),
    limits=(
        Limit(
            "characters",
            _characters,
            LimitSetting("max_chars_per_item", 16_384, "longest text, in characters"),
            CHARS_PER_REQUEST,
            json_bytes=4,
            cut=_cut,
        ),
    ),
    columns=_columns,
    tensors=lambda schema: (TensorType(FIELD, "BYTES", (-1,)),),
    from_tensors=_from_tensors,
    file="tokenizer.json",
    version=1,
    load=TextPreprocessor,
    load_respelling=partial(TextPreprocessor, respells=True),
    facts=TextFacts,
    optional_files=frozenset({LEXICAL}),
)
