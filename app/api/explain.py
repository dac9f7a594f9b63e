"""POST /explain: what each piece of a query, and of a candidate, adds to their score.

    body -> query, candidates -> whole vectors -> the query's pieces, once beside all candidates
                                               -> each candidate's pieces beside the query

POST /v1/models/{model}:explain is the same, as clients of KServe V1 ask for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from fastapi import Request, Response

from app.api.bodies import refuse_query
from app.api.explain_form import EXAMPLES, ExplainRequest, ExplainResponse
from app.api.explain_rows import Explained, Explainer, Side
from app.api.head_options import HEADER_PARAMETERS, admit, timeout_of
from app.api.inputs import GivenInputs, ItemInputs, JsonInputs, within_limits
from app.api.large import off_loop
from app.api.pairing import candidates_target, placed, query_target
from app.api.requests import load_object, moment_of, validated
from app.api.service import EncodeResult, Target
from app.engine import DeadlineExceeded
from app.http import errors
from app.http.body import read_json_body
from app.http.context import Context
from app.http.disconnect import unless_left
from app.http.errors import InvalidRequest
from app.http.routes import RouteGroup
from bundle import Input, InputError
from bundle.shapley import least_masks

JSON = "application/json"
INSTANCES = "instances"
routes = RouteGroup()


def _documented(summary: str, schema: Mapping[str, Any], examples: Mapping[str, Any]) -> dict[str, Any]:
    content = {JSON: {"schema": schema, "examples": examples}}
    return {
        "admission": admit,
        "summary": summary,
        "openapi_extra": {
            "parameters": HEADER_PARAMETERS[:1],
            "requestBody": {"required": True, "content": content},
        },
    }


@routes.post(
    "/explain",
    **_documented("Explain scores", ExplainRequest.model_json_schema(), EXAMPLES),
    responses={
        200: {"model": ExplainResponse, "description": "An explanation for each candidate"},
        **errors.documented(*errors.TABLE),
    },
)
async def explain(context: Context, request: Request) -> Response:
    """What the score loses where a piece of either input is taken away; no cause is meant by it."""
    content = await _content(context, request, "query")
    answer = await _in_time(context, request, [validated(content, ExplainRequest)])
    return _respond(answer[0].content, answer[0])


@routes.post(
    "/v1/models/{model}:explain",
    **_documented(
        "Explain scores, as KServe V1 has it",
        {"type": "object", "properties": {INSTANCES: {"type": "array", "items": {"type": "object"}}}},
        {"texts": {"value": {INSTANCES: [EXAMPLES["texts"]["value"]]}}},
    ),
    responses={
        200: {"description": "An explanation for each instance"},
        **errors.documented(*errors.TABLE),
    },
)
async def explain_instances(context: Context, request: Request) -> Response:
    """Instances are bodies of POST /explain without a model, which the path names."""
    content = await _content(context, request, INSTANCES)
    instances = content.get(INSTANCES)
    if not isinstance(instances, list) or not instances or len(content) > 1:
        raise InvalidRequest(
            f'send {{"{INSTANCES}": [...]}}, each as POST /explain takes it, without a model',
            code="invalid_value",
            param=INSTANCES,
        )
    asked = [
        _instance(one, f"{INSTANCES}[{index}]", request.path_params["model"])
        for index, one in enumerate(instances)
    ]
    answers = await _in_time(context, request, asked, places=True)
    return _respond({"explanations": [one.content for one in answers]}, answers[-1])


class _Answer(NamedTuple):
    """An answer, and its headers."""

    content: dict[str, Any]
    headers: dict[str, str]


def _respond(content: Any, answer: _Answer) -> Response:
    return Response(orjson.dumps(content), headers=answer.headers, media_type=JSON)


async def _content(context: Context, request: Request, field: str) -> dict[str, Any]:
    refuse_query(request)
    body = await read_json_body(context, request, "max_score_body_bytes")
    return await off_loop(len(body), lambda: load_object(body, field))


def _instance(value: Any, place: str, model: str) -> ExplainRequest:
    """Raises InvalidRequest, with the place."""
    if not isinstance(value, dict) or "model" in value:
        raise InvalidRequest(
            f"{place}: expected an object as POST /explain takes it, without a model, which the path names",
            code="invalid_value",
            param=place,
        )
    try:
        return validated(value | {"model": model}, ExplainRequest)
    except InvalidRequest as error:
        raise _within(error, place) from None


def _within(error: InvalidRequest, place: str) -> InvalidRequest:
    param = f"{place}.{error.param}" if error.param else place
    return InvalidRequest(f"{place}: {error}", code=error.code, param=param)


async def _in_time(
    context: Context, request: Request, asked: Sequence[ExplainRequest], *, places: bool = False
) -> list[_Answer]:
    """All answers, one after another. Raises DeadlineExceeded; work for a client that leaves is dropped."""
    timeout_s = timeout_of(request, context.settings)
    most_rows = context.settings.max_explain_rows // len(asked)

    async def answered() -> list[_Answer]:
        found = list[_Answer]()
        for index, one in enumerate(asked):
            try:
                found.append(await _Caller(context, one, timeout_s).answer(most_rows))
            except InvalidRequest as error:
                raise _within(error, f"{INSTANCES}[{index}]") if places else error from None
        return found

    try:
        async with asyncio.timeout(timeout_s):
            return await unless_left(request, answered())
    except TimeoutError:
        raise DeadlineExceeded(timeout_s) from None


class _Caller:
    """One request."""

    def __init__(self, context: Context, asked: ExplainRequest, timeout_s: float) -> None:
        self._context, self._asked, self._timeout_s = context, asked, timeout_s
        self._now_s = moment_of(asked.now, time.time())

    async def answer(self, most_rows: int) -> _Answer:
        """Raises EngineError, InvalidRequest."""
        values, asked = self._values(), self._asked
        explainer = Explainer(
            self._context,
            self._timeout_s,
            asked.method,
            asked.pieces,
            rows_of_each(most_rows, sides=1 + len(values), pieces=asked.pieces),
        )
        given = JsonInputs([asked.query], self._now_s)
        target = query_target(self._context, asked, given)
        (query,), whole = await self._whole(explainer, target, given, "query")
        items, manifest = ItemInputs(values, self._now_s), whole.loaded.manifest
        other = candidates_target(self._context, asked, items, manifest, space=whole.space, dim=whole.dim)
        candidates, theirs = await self._whole(explainer, other, items, "candidates")
        sides = [await _explained(explainer, query, theirs.vectors)]
        for one in candidates:
            sides.append(await _explained(explainer, one, whole.vectors))  # one after another
        noted = [
            (one.place, facts)
            for one, facts in zip([query, *candidates], [*whole.facts, *theirs.facts], strict=True)
        ]
        content = {
            "model": manifest.name,
            "version": manifest.version,
            "candidates_model": theirs.loaded.manifest.name,
            "candidates_version": theirs.loaded.manifest.version,
            "space": theirs.space,
            "metric": manifest.metric,
            "method": asked.method,
            "rows": explainer.rows,
            "explanations": [_pair(index, sides[0], side) for index, side in enumerate(sides[1:])],
            "warnings": [{"param": place, **facts.warnings} for place, facts in noted if facts.warnings],
        }
        return _Answer(content, whole.names() | {"X-Embedding-Space": theirs.space})

    def _values(self) -> list[Any]:
        """The candidates as they came. Raises InvalidRequest."""
        asked = self._asked
        if (asked.candidates is None) == (asked.other is None):
            raise InvalidRequest(
                'send "candidates", or "other" for a single one, one of the two',
                code="missing_field",
                param="candidates",
            )
        if asked.candidates is None:
            return [asked.other]
        if not asked.candidates:
            raise InvalidRequest(
                "the list is empty; send at least one", code="empty_inputs", param="candidates"
            )
        return asked.candidates

    async def _whole(
        self, explainer: Explainer, target: Target, given: GivenInputs, place: str
    ) -> tuple[list[Side], EncodeResult]:
        """The inputs of one side with their vectors. Raises InvalidRequest."""
        kind, settings = target.loaded.encoder.kind, self._context.settings

        def read() -> Sequence[Input]:
            return within_limits(given.read(target.loaded), kind, settings, target.truncate)

        try:
            inputs = await off_loop(given.work, read)
            found = await explainer.whole(target, inputs)
        except InputError as error:
            raise placed(error, place, 0) from None
        places = ["query"] if place == "query" else [f"{place}[{index}]" for index in range(len(inputs))]
        sides = [
            Side(target, one, vector, where)
            for one, vector, where in zip(inputs, found.vectors, places, strict=True)
        ]
        return sides, found


def rows_of_each(most: int, *, sides: int, pieces: int) -> int:
    """Rows for the pieces of each input, so that all have at most so many. Raises InvalidRequest."""
    each, needed = most // sides - 1, least_masks(pieces)
    if each < needed:
        raise InvalidRequest(
            f"{sides} inputs of up to {pieces} pieces may take {sides * (needed + 1)} rows, the limit is "
            f"{most} (ENCODERY_MAX_EXPLAIN_ROWS); send fewer candidates, or fewer pieces",
            code="too_many_inputs",
            param="candidates",
        )
    return each


async def _explained(explainer: Explainer, side: Side, others: Any) -> Explained:
    try:
        return await explainer.explained(side, others)
    except InputError as error:
        raise InvalidRequest(f"{side.place}: {error.reason}", code=error.code, param=side.place) from None


def _pair(index: int, query: Explained, candidate: Explained) -> dict[str, Any]:
    return {
        "index": index,
        "score": float(query.contributions.score[index]),
        "query": _side(query, index),
        "candidate": _side(candidate, 0),
    }


def _side(explained: Explained, column: int) -> dict[str, Any]:
    """As `ExplainedSide`; of several others, the one of that column."""
    found, pieces = explained.contributions, explained.pieces
    rows = zip(pieces.places, found.values[:, column], found.errors[:, column], strict=True)
    return {
        "unit": pieces.unit,
        "merged": pieces.merged,
        "base": float(found.base[column]),
        "residual": float(found.residual[column]),
        "exact": found.is_exact,
        "contributions": [
            {**place, "contribution": float(value), "standard_error": float(error)}
            for place, value, error in rows
        ],
    }
