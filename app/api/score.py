"""POST /score: one user or query against many candidates; the best of them come back, and no vectors.

    body -> query, candidates -> engine -> inner products -> top k

Candidates are what the other encoder of the space takes, or vectors that were kept from /encode. They are
encoded in blocks of ENCODERY_MAX_ITEMS, so that other callers' inputs get between them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.api.bodies import refuse_query
from app.api.head_options import admit
from app.api.inputs import GivenInputs, ItemInputs, JsonInputs, within_limits
from app.api.large import off_loop
from app.api.ranking import scores_of, top
from app.api.requests import NOW_SCHEMA, ONE_INPUT, NameField, moment_of, validated
from app.api.score_vectors import load_score, vectors_of
from app.api.service import EncodeRequest, EncodeResult, Target, encode_inputs, resolve
from app.api.vectors import Vectors
from app.api.warnings import warning_model
from app.engine import DeadlineExceeded, NotReady, UnknownModel
from app.http import errors
from app.http.body import read_json_body
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.http.routes import RouteGroup
from app.settings import Settings
from bundle import Input, InputError, Manifest, Truncate

DEFAULT_TOP_K = 10

routes = RouteGroup()

_ID = {"type": ["string", "integer"], "description": "the id of an item that the model knows by its id"}
_CANDIDATES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [*ONE_INPUT["anyOf"], _ID]},
}
_VECTORS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "items": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},
}


class ScoreRequest(BaseModel):
    """One query, and the candidates to rank for it: `candidates` or `vectors`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    query: Annotated[Any, WithJsonSchema(ONE_INPUT)] = Field(description="a text, or an object of features")
    candidates: Annotated[list[Any], WithJsonSchema(_CANDIDATES)] | None = Field(
        None,
        description="inputs of the candidates' encoder; an item's id will do where it has the field",
    )
    vectors: Annotated[list[Any], WithJsonSchema(_VECTORS)] | None = Field(
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
    top_k: Annotated[int, Field(ge=1)] = Field(DEFAULT_TOP_K, description="how many of the best to answer")
    truncate: Truncate = Field("none", description="as in /encode")
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = Field(None, description="as in /encode")
    now: Annotated[Any, WithJsonSchema(NOW_SCHEMA)] = Field(None, description="as in /encode")


ScoreWarning = warning_model(
    "ScoreWarning",
    "What is to be told about the query or an answered candidate. Only what applies is there.",
    {"param": (str, Field(description="`query`, or for example `candidates[3]`"))},
)


class Scored(BaseModel):
    """A candidate by its position in the request."""

    index: int
    score: float


class ScoreResponse(BaseModel):
    """The best candidates, best first; of equal scores the earlier one first."""

    model: str
    version: str
    candidates_model: str | None = Field(description="null where vectors were sent")
    candidates_version: str | None
    space: str
    metric: Literal["cosine", "inner_product"]
    candidates: int = Field(description="how many were scored")
    results: list[Scored]
    warnings: list[ScoreWarning]  # type: ignore[valid-type]  # made of the kinds' facts


_EXAMPLES: dict[str, Any] = {
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


@routes.post(
    "/score",
    admission=admit,
    summary="Rank candidates",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ScoreRequest.model_json_schema(), "examples": _EXAMPLES}
            },
        }
    },
    responses={
        200: {"model": ScoreResponse, "description": "The best candidates"},
        **errors.documented(*errors.TABLE),
    },
)
async def score(context: Context, request: Request) -> Response:
    """The best of many candidates for one user or query, without shipping vectors."""
    settings = context.settings
    refuse_query(request)
    body = await read_json_body(context, request, "max_score_body_bytes")
    asked = await off_loop(
        len(body), lambda: validated(load_score(body, settings.max_candidates), ScoreRequest)
    )
    given = _given(asked, settings)
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            return await _scored(_Caller(context, request, asked), given)
    except TimeoutError:
        raise DeadlineExceeded(settings.request_timeout_s) from None


def _given(asked: ScoreRequest, settings: Settings) -> list[Any]:
    """What is to be ranked, its number checked. Raises InvalidRequest."""
    if (asked.candidates is None) == (asked.vectors is None):
        raise InvalidRequest(
            'send "candidates" or "vectors", one of the two', code="missing_field", param="candidates"
        )
    name = "vectors" if asked.candidates is None else "candidates"
    given: list[Any] = getattr(asked, name)
    if not given:
        raise InvalidRequest("the list is empty; send at least one", code="empty_inputs", param=name)
    if len(given) > (limit := settings.max_candidates):
        raise InvalidRequest(
            f"{len(given)} candidates, the limit is {limit} (ENCODERY_MAX_CANDIDATES); send several requests",
            code="too_many_inputs",
            param=name,
        )
    if asked.vectors is not None and asked.space is None:
        raise InvalidRequest(
            'vectors can be compared only within their space; send it as "space"',
            code="missing_field",
            param="space",
        )
    return given


class _Caller:
    """One request, as it asks for the vectors of either side."""

    def __init__(self, context: Context, request: Request, asked: ScoreRequest) -> None:
        self.context, self.request, self.asked = context, request, asked
        self.now_s = moment_of(asked.now, time.time())

    async def query(self) -> EncodeResult:
        asked = self.asked
        request = EncodeRequest(
            inputs=JsonInputs([asked.query], self.now_s),
            model=asked.model,
            version=asked.version,
            space=asked.space,
            dim=asked.dimensions,
            truncate=asked.truncate,
        )
        target = resolve(self.context, request)
        return await self._encoded(target, await self._read(target, request.inputs, "query"), "query", 0)

    async def candidates(self, values: list[Any], query: EncodeResult) -> list[EncodeResult]:
        """Block after block, all by one encoder of the query's space."""
        given, size = ItemInputs(values, self.now_s), self.context.settings.max_items
        try:
            target = self._target(given, query)
        except (UnknownModel, NotReady) as error:
            error.param = "candidates_model"
            raise
        inputs = await self._read(target, given, "candidates")
        return [
            await self._encoded(target, inputs[start : start + size], "candidates", start)
            for start in range(0, len(inputs), size)
        ]

    def _target(self, given: GivenInputs, query: EncodeResult) -> Target:
        """The encoder of the candidates."""
        asked = EncodeRequest(
            inputs=given,
            model=self.asked.candidates_model or self._other(query.loaded.manifest),
            space=query.space,
            dim=self.asked.dimensions,
            truncate=self.asked.truncate,
        )
        return resolve(self.context, asked)

    def _other(self, manifest: Manifest) -> str:
        """The model of the candidates where the request names none. Raises UnknownModel."""
        peers = [peer.name for peer in manifest.peers]
        if len(peers) != 1:
            return manifest.name
        if peers[0] not in self.context.registry.models:  # or not for this caller
            raise UnknownModel(
                f"the candidates are for the other encoder of {manifest.name}, which is not there; name one "
                'of its space, or send "vectors" in place of candidates'
            )
        return peers[0]

    async def _read(self, target: Target, given: GivenInputs, place: str) -> Sequence[Input]:
        def read() -> Sequence[Input]:
            kind = target.loaded.encoder.kind
            return within_limits(given.read(target.loaded), kind, self.context.settings, target.truncate)

        try:
            return await off_loop(given.work, read)
        except InputError as error:
            raise _placed(error, place, 0) from None

    async def _encoded(self, target: Target, inputs: Sequence[Input], place: str, start: int) -> EncodeResult:
        try:
            return await encode_inputs(self.context, self.request, target, inputs)
        except InputError as error:
            raise _placed(error, place, start) from None


async def _scored(caller: _Caller, given: list[Any]) -> Response:
    query = await caller.query()
    blocks = [] if caller.asked.vectors is not None else await caller.candidates(given, query)

    def rank() -> tuple[Vectors, list[int]]:
        vectors = np.concatenate([b.vectors for b in blocks]) if blocks else vectors_of(given, query.dim)
        scores = scores_of(query.vectors[0], vectors, query.loaded.manifest.metric)
        return scores, top(scores, caller.asked.top_k)

    scores, best = await off_loop(4 * query.dim * len(given), rank)
    facts = [one for block in blocks for one in block.facts]
    noted = [("query", query.facts[0])]
    noted += [(f"candidates[{index}]", facts[index]) for index in best if facts]
    manifest, other = query.loaded.manifest, blocks[0].loaded.manifest if blocks else None
    content = {
        "model": manifest.name,
        "version": manifest.version,
        "candidates_model": other and other.name,
        "candidates_version": other and other.version,
        "space": query.space,
        "metric": manifest.metric,
        "candidates": len(scores),
        "results": [{"index": index, "score": float(scores[index])} for index in best],
        "warnings": [{"param": place, **one.warnings} for place, one in noted if one.warnings],
    }
    headers = query.names()
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def _placed(error: InputError, place: str, start: int) -> InvalidRequest:
    """Say the error of its place in this request."""
    param = place if place == "query" else f"{place}[{start + error.index}]"
    return InvalidRequest(f"{param}{error.path}: {error.reason}", code=error.code, param=param + error.path)
