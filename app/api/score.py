"""POST /score: one user or query against many candidates; the best of them come back, and no vectors.

    body -> query, candidates -> engine -> inner products -> top k

Candidates are what the other encoder of the space takes, or vectors that were kept from /encode. They are
encoded in blocks of ENCODERY_MAX_ITEMS, so that other callers' inputs get between them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson
from fastapi import Request, Response

from app.api import sparse
from app.api.bodies import refuse_query
from app.api.head_options import admit, terms_of
from app.api.inputs import GivenInputs, ItemInputs, JsonInputs, within_limits
from app.api.large import off_loop
from app.api.pairing import candidates_target, placed, query_target
from app.api.ranking import Ranking, ranked, ranked_with_words
from app.api.requests import moment_of, validated
from app.api.score_form import EXAMPLES, ScoreRequest, ScoreResponse
from app.api.score_vectors import load_with_vectors, vectors_of
from app.api.service import EncodeResult, Target, encode_inputs
from app.api.vectors import Vectors
from app.engine import DeadlineExceeded
from app.http import errors
from app.http.body import read_json_body
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.http.routes import RouteGroup
from app.settings import Settings
from bundle import Input, InputError, InputType, SparseVector
from bundle.lexical import inner_products

SIDES: Mapping[str, InputType] = {"query": "query", "candidates": "document"}  # of BM25, by field
routes = RouteGroup()


@routes.post(
    "/score",
    admission=admit,
    summary="Rank candidates",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": ScoreRequest.model_json_schema(), "examples": EXAMPLES}
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
        len(body), lambda: validated(load_with_vectors(body, "query", settings.max_candidates), ScoreRequest)
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
    if asked.vectors is not None and asked.mix:
        raise InvalidRequest(
            'mix counts the words of texts, and vectors have none; send the texts as "candidates"',
            code="unsupported",
            param="mix",
        )
    return given


class Words(NamedTuple):
    """The words of a query and of the candidates, as either side of BM25 weighs them."""

    query: SparseVector
    candidates: Sequence[SparseVector]

    def scores(self) -> Vectors:
        """BM25. float32 (n,)."""
        return inner_products(self.query, self.candidates).astype(np.float32)


class _Caller:
    """One request, as it asks for the vectors of either side."""

    def __init__(self, context: Context, request: Request, asked: ScoreRequest) -> None:
        self.context, self.request, self.asked = context, request, asked
        self.now_s = moment_of(asked.now, time.time())
        self._read_inputs: dict[str, Sequence[Input]] = {}

    async def query(self) -> EncodeResult:
        given = JsonInputs([self.asked.query], self.now_s)
        target = query_target(self.context, self.asked, given)
        if self.asked.mix:
            sparse.check_lexical(target.loaded)
        return await self._encoded(target, await self._read(target, given, "query"), "query", 0)

    async def candidates(self, values: list[Any], query: EncodeResult) -> list[EncodeResult]:
        """Block after block, all by one encoder of the query's space."""
        given, size = ItemInputs(values, self.now_s), self.context.settings.max_items
        manifest = query.loaded.manifest
        target = candidates_target(
            self.context, self.asked, given, manifest, space=query.space, dim=query.dim
        )
        inputs = await self._read(target, given, "candidates")
        return [
            await self._encoded(target, inputs[start : start + size], "candidates", start)
            for start in range(0, len(inputs), size)
        ]

    async def words(self, query: EncodeResult) -> Words:
        """Both sides of BM25, by the statistics of the query's model."""
        timeout_s = terms_of(self.request, self.context.settings).timeout_s
        sides: dict[str, list[SparseVector]] = {}
        for place, role in SIDES.items():
            try:
                found = await sparse.weighed(
                    self.context,
                    query.loaded,
                    self._read_inputs[place],
                    role,
                    truncate=self.asked.truncate,
                    timeout_s=timeout_s,
                )
            except InputError as error:
                raise placed(error, place, 0) from None
            sides[place] = [row for row, _ in found]
        return Words(sides["query"][0], sides["candidates"])

    async def _read(self, target: Target, given: GivenInputs, place: str) -> Sequence[Input]:
        def read() -> Sequence[Input]:
            kind = target.loaded.encoder.kind
            return within_limits(given.read(target.loaded), kind, self.context.settings, target.truncate)

        try:
            inputs = self._read_inputs[place] = await off_loop(given.work, read)
        except InputError as error:
            raise placed(error, place, 0) from None
        return inputs

    async def _encoded(self, target: Target, inputs: Sequence[Input], place: str, start: int) -> EncodeResult:
        try:
            return await encode_inputs(self.context, self.request, target, inputs)
        except InputError as error:
            raise placed(error, place, start) from None


async def _scored(caller: _Caller, given: list[Any]) -> Response:
    asked, query = caller.asked, await caller.query()
    blocks = [] if asked.vectors is not None else await caller.candidates(given, query)
    words = await caller.words(query) if asked.mix else None

    def rank() -> Ranking:
        vectors = np.concatenate([b.vectors for b in blocks]) if blocks else vectors_of(given, query.dim)
        metric = query.loaded.manifest.metric if words is None else "cosine"
        found = ranked(query.vectors[0], vectors, metric, asked.top_k)
        return found if words is None else ranked_with_words(found, words.scores(), asked.mix, asked.top_k)

    ranking = await off_loop(4 * query.dim * len(given), rank)
    facts = [one for block in blocks for one in block.facts]
    noted = [("query", query.facts[0])]
    noted += [(f"candidates[{index}]", facts[index]) for index in ranking.best if facts]
    manifest, other = query.loaded.manifest, blocks[0].loaded.manifest if blocks else None
    space = blocks[0].space if blocks else asked.space or query.space
    content = {
        "model": manifest.name,
        "version": manifest.version,
        "candidates_model": other and other.name,
        "candidates_version": other and other.version,
        "space": space,
        "metric": ranking.metric,
        "candidates": len(ranking.scores),
        **({} if words is None else {"mix": _mix(asked.mix, ranking, query)}),
        "results": ranking.results(),
        "warnings": [{"param": place, **one.warnings} for place, one in noted if one.warnings],
    }
    headers = query.names() | {"X-Embedding-Space": space}
    return Response(orjson.dumps(content), headers=headers, media_type="application/json")


def _mix(weight: float, ranking: Ranking, query: EncodeResult) -> dict[str, Any]:
    """What is told of a mix."""
    return {
        "cosine": round(1 - weight, 9),
        "bm25": weight,
        "largest_bm25": float(ranking.parts["bm25"].max()),
        "space": query.loaded.encoder.sparse_space,
    }
