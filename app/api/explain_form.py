"""What POST /explain takes and answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.api.requests import NOW_SCHEMA, ONE_INPUT, NameField
from app.api.score_form import CANDIDATES_SCHEMA, ScoreWarning
from bundle import Truncate

DEFAULT_PIECES, MOST_PIECES = 32, 64


class ExplainRequest(BaseModel):
    """One query, and what it was scored with: `candidates`, or `other` for a single one."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    query: Annotated[Any, WithJsonSchema(ONE_INPUT)] = Field(description="as in /score")
    candidates: Annotated[list[Any], WithJsonSchema(CANDIDATES_SCHEMA)] | None = Field(
        None, description="as in /score; each is explained"
    )
    other: Annotated[Any, WithJsonSchema(CANDIDATES_SCHEMA["items"])] = Field(
        None, description="in their place, one candidate"
    )
    method: Literal["shapley", "leave_one_out"] = Field(
        "shapley",
        description="Shapley values, which add up to the score less its base; or what the score loses when "
        "a piece alone is left out, for one row a piece",
    )
    pieces: Annotated[int, Field(ge=2, le=MOST_PIECES)] = Field(
        DEFAULT_PIECES, description="most pieces of an input; where it has more, neighbours are merged"
    )
    model: NameField | None = Field(None, description="of the query; default: the server's default model")
    version: NameField | None = Field(None, description="of that model; default: the current one")
    candidates_model: NameField | None = Field(None, description="as in /score")
    space: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None, description="as in /score"
    )
    adapted: bool = Field(False, description="as in /score")
    truncate: Truncate = Field("none", description="as in /encode")
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = Field(None, description="as in /encode")
    now: Annotated[Any, WithJsonSchema(NOW_SCHEMA)] = Field(None, description="as in /encode")


class Contribution(BaseModel):
    """What one piece adds to the score; where it is in the input is said as its kind says it."""

    model_config = ConfigDict(extra="allow")

    contribution: float
    standard_error: float = Field(description="0 where the contribution is exact")
    start: int | None = Field(None, description="of a text: its first character")
    stop: int | None = Field(None, description="of a text: the character behind its last")
    field: str | None = Field(None, description="of features: the field")
    fields: list[str] | None = Field(None, description="of features: several fields, where these were merged")
    entries: list[int] | None = Field(None, description="of features: the places in the field's list")
    x: int | None = Field(None, description="of a picture: pixels from the left, upright")
    y: int | None = Field(None, description="of a picture: pixels from the top")
    width: int | None = None
    height: int | None = None
    start_s: float | None = Field(None, description="of a sound: where it starts, in seconds")
    stop_s: float | None = None


class ExplainedSide(BaseModel):
    """The pieces of the query, or of the candidate, the other input being whole."""

    unit: str = Field(description="what a piece is: `words`, `sentences`, `fields and entries`, ...")
    merged: int = Field(description="how many smaller pieces there were; 0 where none were merged")
    base: float = Field(description="the score when nothing of it is left")
    residual: float = Field(description="what of score - base the contributions do not add up to")
    exact: bool = Field(description="the contributions are no estimates")
    contributions: list[Contribution] = Field(description="in the order of the input")


class ExplainedPair(BaseModel):
    """The score of the query and one candidate, by its position in the request."""

    index: int
    score: float
    query: ExplainedSide
    candidate: ExplainedSide


class ExplainResponse(BaseModel):
    """An explanation for each candidate, in their order."""

    model: str
    version: str
    candidates_model: str
    candidates_version: str
    space: str
    metric: Literal["cosine", "inner_product"]
    method: Literal["shapley", "leave_one_out"]
    rows: int = Field(description="how many inputs were encoded for it")
    explanations: list[ExplainedPair]
    warnings: list[ScoreWarning]  # type: ignore[valid-type]  # made of the kinds' facts


EXAMPLES: dict[str, Any] = {
    "texts": {
        "summary": "which words make two texts alike",
        "value": {"query": "Where is my parcel?", "other": "Tracking an order"},
    },
    "items": {
        "summary": "because of which purchases an item is recommended",
        "value": {
            "model": "retail-user",
            "query": {"history": ["85123A", "22423"], "country": "France"},
            "candidates": ["71053"],
        },
    },
}
