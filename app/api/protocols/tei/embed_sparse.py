"""POST /embed_sparse: weights of words, in the place of SPLADE's, whose clients send no side of BM25.

TEI's `prompt_name` is what tells a query from a document there, so it does here; without it texts are
documents.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.api import sparse
from app.api.inputs import TextOrIdInputs
from app.api.large import off_loop, to_json
from app.api.protocols.base import expected_space, texts_or_ids
from app.api.protocols.measured import measured
from app.api.protocols.tei.other_kinds import GIVEN_INPUTS
from app.api.protocols.tei.protocol import OTHER_KIND, TEI
from app.api.protocols.tei.requests import INPUTS, Cutting, check_filled
from app.api.vectors import JSON
from app.http.context import Context
from app.http.errors import InvalidRequest
from bundle import InputType, SparseVector

NO_SPLADE = "Backend error: Model is not an embedding model with SPLADE pooling"
SIDES: Mapping[str | None, InputType] = {
    None: "document",
    "document": "document",
    "passage": "document",
    "query": "query",
}


class EmbedSparseRequest(Cutting):
    """Texts whose words are to be weighed."""

    inputs: Annotated[Any, GIVEN_INPUTS, WithJsonSchema(INPUTS)] = Field(
        description="a text or a list of texts; a text may be given as token ids, as /tokenize tells them"
    )
    prompt_name: str | None = Field(None, description="query, document or passage; default: document")


@TEI.post("/embed_sparse", EmbedSparseRequest, "Weigh the words of texts")
async def embed_sparse(context: Context, request: Request) -> Response:
    """Weights of the tokens of each text, by their ids; 424 for a model without statistics of words."""
    started_s = time.perf_counter()
    asked = await TEI.read(context, request, EmbedSparseRequest)
    values = texts_or_ids(asked.inputs).values
    _check_lexical(context)
    check_filled(values)
    ask = sparse.SparseRequest(
        inputs=TextOrIdInputs(values, time.time()),
        input_type=_side(asked.prompt_name),
        space=expected_space(request),
        truncate=asked.cut(is_default=context.settings.auto_truncate),
    )
    answer = await sparse.encode(context, request, ask)
    count = sum(map(len, answer.rows))
    body = await off_loop(
        sparse.ENTRY * count, lambda: to_json([_entries(row) for row in answer.rows], count)
    )
    return Response(body, headers=measured(answer, values, started_s), media_type=JSON)


def _check_lexical(context: Context) -> None:
    """Raise what TEI answers for a model of another kind, and our reason."""
    try:
        sparse.check_lexical(context.registry.find(context.default_model))
    except InvalidRequest as error:
        raise InvalidRequest(f"{NO_SPLADE}: {error}", code=OTHER_KIND) from None


def _side(prompt: str | None) -> InputType:
    try:
        return SIDES[prompt]
    except KeyError:
        raise InvalidRequest(
            "prompt_name: of sparse vectors it says what a text is: query, document or passage",
            code="unknown_prompt",
            param="prompt_name",
        ) from None


def _entries(row: SparseVector) -> list[dict[str, Any]]:
    """A vector as TEI writes it; its weights stay float32, which JSON has in fewer digits."""
    return [
        {"index": index, "value": value}
        for index, value in zip(row.indices.tolist(), row.values, strict=True)
    ]
