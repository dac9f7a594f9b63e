"""POST /vertex: several requests in one, as Google's Vertex AI sends them, each as another route has it.

What they ask for alike is encoded together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import Request, Response
from pydantic import Field, WithJsonSchema

from app.api.inputs import check_count
from app.api.large import off_loop, to_json
from app.api.protocols.foreign import ForeignRequest, parsed
from app.api.protocols.tei.embed import encoded
from app.api.protocols.tei.other_kinds import RERANKS, refuse
from app.api.protocols.tei.protocol import TEI
from app.api.protocols.tei.requests import Options, Work, of_shape, work_of
from app.api.vectors import JSON
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.settings import Settings
from bundle import InputError

_INSTANCES = {"type": "array", "items": {"type": "object"}}


class VertexRequest(ForeignRequest):
    """Several requests."""

    instances: Annotated[list[Any], WithJsonSchema(_INSTANCES)] = Field(
        description="each as /embed or /similarity takes it"
    )


@TEI.post("/vertex", VertexRequest, "Several requests in one, as Vertex AI sends them")
async def vertex(context: Context, request: Request) -> Response:
    """What /embed or /similarity answers, for each instance."""
    asked = await TEI.read_as(context, request, lambda content: VertexRequest, "instances")
    _check_most(len(asked.instances), context.settings)
    auto_truncate = context.settings.auto_truncate
    works = await off_loop(
        256 * len(asked.instances),
        lambda: [_work(one, index, auto_truncate=auto_truncate) for index, one in enumerate(asked.instances)],
    )
    _check_most(sum(len(work.values) for work in works), context.settings)
    predictions: list[Any] = [None] * len(works)
    headers: Mapping[str, str] = {}
    numbers = 0
    for options, places in _alike(works).items():
        found, headers = await _encoded(context, request, works, places, options)
        for place, vectors in zip(places, found, strict=True):
            predictions[place] = works[place].content(vectors)
            numbers += vectors.size
    body = await off_loop(4 * numbers, lambda: to_json({"predictions": predictions}, numbers))
    return Response(body, headers=dict(headers), media_type=JSON)


def _check_most(count: int, settings: Settings) -> None:
    """Raise InvalidRequest for more inputs than the limit; none at all are no mistake here."""
    if count > settings.max_items:
        try:
            check_count(count, settings)
        except InvalidRequest as error:
            raise InvalidRequest(f"instances: {error}", code=error.code, param="instances") from None


def _work(instance: Any, index: int, *, auto_truncate: bool) -> Work:
    """What one of the requests asks for. Raises InvalidRequest, with its place."""
    place = f"instances[{index}]"
    if not isinstance(instance, dict):
        raise InvalidRequest(f"{place}: expected an object", code="wrong_type", param=place)
    if "query" in instance and "texts" in instance:
        refuse(RERANKS)
    try:
        work = work_of(parsed(instance, of_shape(instance)), auto_truncate=auto_truncate)
        if not work.values:
            raise InvalidRequest("the list is empty; send at least one input", code="empty_inputs")
        return work
    except InvalidRequest as error:
        where = f"{place}.{error.param}" if error.param else place
        raise InvalidRequest(f"{place}: {error}", code=error.code, param=where) from None


def _alike(works: Sequence[Work]) -> dict[Options, list[int]]:
    """Places of the requests that can be encoded together."""
    places: dict[Options, list[int]] = {}
    for place, work in enumerate(works):
        places.setdefault(work.options, []).append(place)
    return places


async def _encoded(
    context: Context, request: Request, works: Sequence[Work], places: Sequence[int], options: Options
) -> tuple[list[Any], Mapping[str, str]]:
    """The vectors of each of the requests, and the answer's headers."""
    ends = np.cumsum([len(works[place].values) for place in places])
    values = [value for place in places for value in works[place].values]
    try:
        answer = await encoded(context, request, values, options)
    except InputError as error:
        at = int(np.searchsorted(ends, error.index, side="right"))
        first = int(ends[at - 1]) if at else 0
        raise works[places[at]].failed(error.at(error.index - first), f"instances[{places[at]}].") from None
    return np.split(answer.vectors, ends[:-1]), answer.headers()
