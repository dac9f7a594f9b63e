"""The routes of models of another kind: they read the request, and say that the default model is none.

A vector per token would have to come out of the model's graph, whose one output is a vector per input:
docs/bundle.md.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, NoReturn

from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.api.inputs import check_count
from app.api.protocols.base import texts_or_ids
from app.api.protocols.foreign import ForeignRequest, Refusal, Texts
from app.api.protocols.tei.protocol import OTHER_KIND, TEI
from app.api.protocols.tei.requests import EmbedRequest
from app.api.service import prompt_of
from app.http.context import Context
from app.http.errors import InvalidRequest

RERANKS = "model is not a re-ranker model"
_LISTS = {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}


class SparseRequest(EmbedRequest):
    """Texts, for a model that gives weights of words."""

    encodes, is_work, access = False, False, "any"


class RerankRequest(ForeignRequest):
    """A question and texts that may answer it."""

    encodes, is_work, access = False, False, "any"
    field = "texts"
    refused: ClassVar = {
        "documents": Refusal(
            f"{RERANKS}, of Infinity's or Cohere's form either; POST /score ranks by vectors"
        )
    }

    query: str
    texts: Texts = Field(description="a list of texts")


class PredictRequest(ForeignRequest):
    """Texts or pairs of them, for a classifier."""

    encodes, is_work, access = False, False, "any"

    inputs: Annotated[Any, WithJsonSchema(_LISTS)]


@TEI.post("/embed_all", SparseRequest, "Answers 424: no model here gives a vector per token")
async def embed_all(context: Context, request: Request) -> Response:
    """Never: the models of this server give one vector per input."""
    asked = await TEI.read(context, request, SparseRequest)
    values = texts_or_ids(asked.inputs).values
    check_count(len(values), context.settings)
    for index, value in enumerate(values):
        if value in ("", []):
            place = f"inputs[{index}]"
            raise InvalidRequest(f"{place}: it is empty; leave it out", code="empty_input", param=place)
    prompt_of(context.registry.find(context.settings.default_model), asked.prompt_name)
    refuse("Model gives no vector per token; POST /embed gives one per text")


@TEI.post("/embed_sparse", SparseRequest, "Answers 424: for models of another kind")
async def embed_sparse(context: Context, request: Request) -> Response:
    """Never."""
    await TEI.read(context, request, SparseRequest)
    refuse("Model is not an embedding model with SPLADE pooling")


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
    asked = await TEI.read(context, request, PredictRequest)
    if not isinstance(asked.inputs, str | list) or asked.inputs == []:
        message = "inputs: expected a text, a pair of texts, or a list of such"
        raise InvalidRequest(message, code="invalid_value", param="inputs")
    refuse("Model is not a classifier model")


def refuse(message: str) -> NoReturn:
    """Raise what TEI answers for a model of another kind."""
    raise InvalidRequest(f"Backend error: {message}", code=OTHER_KIND)
