"""The routes of models of another kind: they read the request, and say that the default model is none.

A vector per token would have to come out of the model's graph, whose one output is a vector per input:
docs/bundle.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NoReturn

from fastapi import Request, Response
from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api.inputs import are_ids, check_count
from app.api.protocols.base import texts_or_ids
from app.api.protocols.foreign import Refusal
from app.api.protocols.tei.protocol import OTHER_KIND, TEI
from app.api.protocols.tei.requests import INPUTS, EmbedRequest, Truncating, check_filled
from app.api.service import prompt_of
from app.http.context import Context
from app.http.errors import InvalidRequest

RERANKS = "model is not a re-ranker model"
_SEQUENCE = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}
_BATCH = {"type": "array", "items": _SEQUENCE, "minItems": 1}
_LISTS = {"anyOf": [{"type": "string"}, _SEQUENCE, _BATCH]}


def _are_inputs(value: Any) -> bool:
    """Tell whether it is a text or token ids, or a list of such."""
    is_list = isinstance(value, list) and all(isinstance(one, str) or are_ids(one) for one in value)
    return isinstance(value, str) or are_ids(value) or is_list


def _is_sequence(value: Any) -> bool:
    """Tell whether it is a text in a list, or a pair of them."""
    return isinstance(value, list) and len(value) in (1, 2) and set(map(type, value)) == {str}


def _are_sequences(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value) and all(map(_is_sequence, value))
    return isinstance(value, str) or _is_sequence(value) or is_list


def _only(holds: Callable[[Any], bool], expected: str) -> BeforeValidator:
    """Refuse all that does not hold, at its first mistake."""

    def check(value: Any) -> Any:
        if not holds(value):
            raise PydanticCustomError("wrong_type", "expected {expected}", {"expected": expected})
        return value

    return BeforeValidator(check)


GIVEN_INPUTS = _only(_are_inputs, "a text, a list of token ids, or a list of such")
_SEQUENCES = _only(_are_sequences, "a text, a pair of texts, or a list of lists of one or two texts")


class TokenVectorsRequest(EmbedRequest):
    """Texts, for a model that gives a vector per token."""

    encodes, is_work, access = False, False, "any"

    inputs: Annotated[Any, GIVEN_INPUTS, WithJsonSchema(INPUTS)]


class RerankRequest(Truncating):
    """A question and texts that may answer it."""

    encodes, is_work, access = False, False, "any"
    field = "texts"
    refused: ClassVar = {
        "documents": Refusal(
            f"{RERANKS}, of Infinity's or Cohere's form either; POST /score ranks by vectors"
        )
    }

    query: str
    texts: list[str] = Field(fail_fast=True, json_schema_extra={"minItems": 1})
    raw_scores: bool = False
    return_text: bool = False


class PredictRequest(Truncating):
    """Texts or pairs of them, for a classifier."""

    encodes, is_work, access = False, False, "any"

    inputs: Annotated[Any, _SEQUENCES, WithJsonSchema(_LISTS)]
    raw_scores: bool = False


@TEI.post("/embed_all", TokenVectorsRequest, "Answers 424: no model here gives a vector per token")
async def embed_all(context: Context, request: Request) -> Response:
    """Never: the models of this server give one vector per input."""
    asked = await TEI.read(context, request, TokenVectorsRequest)
    values = texts_or_ids(asked.inputs).values
    check_count(len(values), context.settings)
    check_filled(values)
    prompt_of(context.registry.find(context.default_model), asked.prompt_name)
    refuse("Model gives no vector per token; POST /embed gives one per text")


@TEI.post("/rerank", RerankRequest, "Answers 424: for models of another kind")
async def rerank(context: Context, request: Request) -> Response:
    """Never; POST /score ranks by vectors."""
    asked = await TEI.read(context, request, RerankRequest)
    if asked.texts == []:
        raise InvalidRequest(
            "texts: the list is empty; send at least one text", code="empty_inputs", param="texts"
        )
    refuse(RERANKS)


@TEI.post("/predict", PredictRequest, "Answers 424: for models of another kind")
async def predict(context: Context, request: Request) -> Response:
    """Never."""
    await TEI.read(context, request, PredictRequest)
    refuse("Model is not a classifier model")


def refuse(message: str) -> NoReturn:
    """Raise what TEI answers for a model of another kind."""
    raise InvalidRequest(f"Backend error: {message}", code=OTHER_KIND)
