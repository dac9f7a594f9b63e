"""What POST /score takes and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.api.requests import NOW_SCHEMA, ONE_INPUT, NameField
from app.api.warnings import warning_model
from bundle import Truncate
from bundle.lexical import MIX

DEFAULT_TOP_K = 10

_ID = {"type": ["string", "integer"], "description": "the id of an item that the model knows by its id"}
CANDIDATES_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [*ONE_INPUT["anyOf"], _ID]},
}
VECTORS_SCHEMA: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
}


class ScoreRequest(BaseModel):
    """One query, and the candidates to rank for it: `candidates` or `vectors`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    query: Annotated[Any, WithJsonSchema(ONE_INPUT)] = Field(description="a text, or an object of features")
    candidates: Annotated[list[Any], WithJsonSchema(CANDIDATES_SCHEMA)] | None = Field(
        None,
        description="inputs of the candidates' encoder; an item's id will do where it has the field",
    )
    vectors: Annotated[list[Any], WithJsonSchema(VECTORS_SCHEMA)] | None = Field(
        None,
        description="in their place, vectors as /encode gives them, in either encoding; they need `space`",
    )
    model: NameField | None = Field(None, description="of the query; default: the server's default model")
    version: NameField | None = Field(None, description="of that model; default: the current one")
    candidates_model: NameField | None = Field(
        None, description="of the candidates; default: the other encoder of a pair, else the same model"
    )
    space: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None, description="the space that all vectors must be of; 412 if they would not be"
    )
    adapted: bool = Field(
        False, description="`space` may be that of an adapter: vectors that are near those of the query"
    )
    top_k: Annotated[int, Field(ge=1)] = Field(DEFAULT_TOP_K, description="how many of the best to answer")
    truncate: Truncate = Field("none", description="as in /encode")
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = Field(None, description="as in /encode")
    now: Annotated[Any, WithJsonSchema(NOW_SCHEMA)] = Field(None, description="as in /encode")
    mix: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="how much the words of texts count beside their vectors: scores are (1 - mix) * cosine + "
        f"mix * BM25 / the largest BM25 of the candidates; {MIX} is good for most",
    )


ScoreWarning = warning_model(
    "ScoreWarning",
    "What is to be told about the query or an answered candidate. Only what applies is there.",
    {"param": (str, Field(description="`query`, or for example `candidates[3]`"))},
)


class Scored(BaseModel):
    """A candidate by its position in the request; with `mix`, the parts of its score."""

    index: int
    score: float
    cosine: float | None = None
    bm25: float | None = None


class Mixed(BaseModel):
    """What was mixed; only where `mix` is above 0."""

    cosine: float = Field(description="weight of the cosine")
    bm25: float = Field(description="weight of BM25 over its largest")
    largest_bm25: float = Field(description="of the candidates; 0 if none has a word of the query")
    space: str = Field(description="of the sparse vectors whose inner products BM25 is")


class ScoreResponse(BaseModel):
    """The best candidates, best first; of equal scores the earlier one first."""

    model: str
    version: str
    candidates_model: str | None = Field(description="null where vectors were sent")
    candidates_version: str | None
    space: str
    metric: Literal["cosine", "inner_product"]
    candidates: int = Field(description="how many were scored")
    mix: Mixed | None = None
    results: list[Scored]
    warnings: list[ScoreWarning]  # type: ignore[valid-type]  # made of the kinds' facts


EXAMPLES: dict[str, Any] = {
    "texts": {
        "summary": "texts for a query",
        "value": {"query": "Where is my parcel?", "candidates": ["Tracking an order", "Opening hours"]},
    },
    "items": {
        "summary": "items for a user, by id or with their content",
        "value": {
            "model": "retail-user",
            "query": {"history": ["85123A", "22423"], "country": "France"},
            "candidates": [{"id": "71053"}, {"id": "new", "description": "RED RETROSPOT LUNCH BAG"}],
        },
    },
}
