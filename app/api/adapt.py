"""POST /adapt: vectors of an old space in, vectors near a new one out, by an adapter that is loaded.

body -> vectors and their space -> the adapter that takes them -> engine -> vectors of the adapter's space
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.api import vectors
from app.api.bodies import refuse_query
from app.api.encoded_answer import EncodeResponse, described
from app.api.head_options import HEADER_PARAMETERS, admit
from app.api.inputs import JsonInputs
from app.api.large import NUMBER, off_loop, writing
from app.api.requests import NameField, validated
from app.api.score_form import VECTORS_SCHEMA
from app.api.score_vectors import load_with_vectors
from app.api.service import EncodeRequest, encode
from app.engine import Loaded, SpaceMismatch, UnknownModel
from app.http import errors
from app.http.body import read_json_body
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.http.routes import RouteGroup
from bundle import InputError
from bundle.manifest import Adapts

routes = RouteGroup()


class AdaptBody(BaseModel):
    """Vectors, and of which space they are."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    vectors: Annotated[list[Any], WithJsonSchema(VECTORS_SCHEMA)] = Field(
        description="as /encode gives them, in either encoding"
    )
    space: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="that the vectors are of; 412 if no adapter takes such vectors"
    )
    model: NameField | None = Field(
        None, description="the adapter; default: the one that takes vectors of that space"
    )
    version: NameField | None = Field(None, description="of the adapter; default: the current one")
    encoding: Literal["float", "base64"] = Field("float", description="as in /encode")
    dimensions: Annotated[int, Field(ge=1, le=65536)] | None = Field(None, description="as in /encode")


class AdaptResponse(EncodeResponse):
    """Adapted vectors in the order of those that were sent."""

    near: str = Field(description="the space that they were turned towards; they are near it, not of it")


@routes.post(
    "/adapt",
    admission=admit,
    summary="Adapt vectors",
    openapi_extra={
        "parameters": HEADER_PARAMETERS,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": AdaptBody.model_json_schema()}},
        },
    },
    responses={
        200: {"model": AdaptResponse, "description": "The adapted vectors"},
        **errors.documented(*errors.TABLE),
    },
)
async def adapt(context: Context, request: Request) -> Response:
    """Old vectors turned towards the space of another encoder, until they are encoded again.

    What comes out is of the adapter's own space; queries of the new encoder find it where they say
    `"adapted": true`.
    """
    settings = context.settings
    refuse_query(request)
    body = await read_json_body(context, request, "max_score_body_bytes")
    asked = await off_loop(
        len(body), lambda: validated(load_with_vectors(body, "vectors", settings.max_items), AdaptBody)
    )
    check_vectors(asked.vectors, settings.max_items)
    loaded, adapts = _adapter(context, asked)
    with _placed():
        result = await encode(
            context,
            request,
            EncodeRequest(
                inputs=JsonInputs(asked.vectors, 0.0),
                number_bytes=NUMBER,
                model=loaded.manifest.name,
                version=loaded.manifest.version,
                dim=asked.dimensions,
            ),
        )
    told = described(result) | {"near": near(adapts, loaded, result.space)}
    content = await off_loop(
        writing(result.vectors), lambda: vectors.to_json(told, result.vectors, asked.encoding)
    )
    return Response(content, headers=result.headers(), media_type=vectors.JSON)


def check_vectors(given: Sequence[Any], most: int) -> None:
    """Raise InvalidRequest unless there is one vector at least, and no more than the limit."""
    if not given:
        raise InvalidRequest("the list is empty; send at least one", code="empty_inputs", param="vectors")
    if len(given) > most:
        raise InvalidRequest(
            f"{len(given)} vectors, the limit is {most} (ENCODERY_MAX_ITEMS); send several requests, or turn "
            "whole files by `encodery adapt apply`",
            code="too_many_inputs",
            param="vectors",
        )


def near(adapts: Adapts, loaded: Loaded, space: str) -> str:
    """The space that vectors of an adapter were turned towards, cut as they are."""
    return adapts.target.space + space.removeprefix(loaded.manifest.space)


def _adapter(context: Context, asked: AdaptBody) -> tuple[Loaded, Adapts]:
    """The adapter for vectors of that space. Raises EngineError, InvalidRequest."""
    registry = context.registry
    there = [
        (one, one.manifest.adapts)
        for name in ([asked.model] if asked.model else registry.models)
        for one in _found(context, name, asked.version if asked.model else None)
        if one.manifest.adapts is not None
    ]
    if asked.model and not there:
        raise UnknownModel("that model is no adapter; GET /models shows which are of the kind vector")
    fitting = [(one, adapts) for one, adapts in there if adapts.source.space == asked.space]
    if len(fitting) > 1:
        names = ", ".join(one.manifest.name for one, _ in fitting)
        raise InvalidRequest(
            f"several adapters take such vectors; name one of them: {names}",
            code="missing_field",
            param="model",
        )
    if not fitting:
        taken = ", ".join(f"{one.manifest.name}: {adapts.source.space}" for one, adapts in there)
        raise SpaceMismatch(
            f"no adapter takes vectors of that space; those that are loaded take {taken or 'none'}"
        )
    return fitting[0]


def _found(context: Context, name: str, version: str | None) -> list[Loaded]:
    """The version that would answer; of models that nobody named, none where that is not loaded."""
    model = context.registry.model(name)
    if version is None and not model.is_ready and name in context.registry.models:
        return []
    return [context.registry.find(name, version=version)]


@contextmanager
def _placed() -> Iterator[None]:
    """Say what is wrong with a vector of its place in this request."""
    try:
        yield
    except InputError as error:
        param = f"vectors[{error.index}]"
        raise InvalidRequest(f"{param}: {error.reason}", code=error.code, param=param) from None
