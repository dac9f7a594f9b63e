"""`input_type`, as Cohere and Voyage call what a text is for, and the prompts that a model may have for it.

The names are those that sentence-transformers' `encode_query` and `encode_document` look for, and theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from app.api.service import EncodeRequest, find
from app.http.context import Context

InputType: TypeAlias = Literal[
    "search_query", "search_document", "query", "document", "passage", "classification", "clustering"
]
_QUERY, _DOCUMENT = ("query", "search_query"), ("document", "passage", "corpus", "search_document")
PROMPTS: Mapping[InputType, Sequence[str]] = {
    "search_query": _QUERY,
    "search_document": _DOCUMENT,
    "query": _QUERY,
    "document": _DOCUMENT,
    "passage": _DOCUMENT,
    "classification": ("classification",),
    "clustering": ("clustering",),
}


def with_prompt_for(input_type: InputType | None, asked: EncodeRequest, context: Context) -> EncodeRequest:
    """Add the first of its prompts that the model has; the model's default, if it has none.

    A prompt that is asked for by name stays. Raises EngineError, InvalidRequest, as `find` does.
    """
    if asked.prompt is not None or input_type is None:
        return asked
    names = PROMPTS[input_type]
    has = find(context, asked).manifest.prompts
    return asked._replace(prompt=next((name for name in names if name in has), None))
