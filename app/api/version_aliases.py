"""What names of versions stand for, and who changed it: aliases and history under /models/{name}.

    GET -> ETag -> PUT with If-Match -> the new ETag, when every process of the server answers by it

`current` is one of them. Changes need a key with the scope `admin`, or a server that listens to this machine
alone and has no keys.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.api.changes import NO_ALIAS, check_model, make, who
from app.api.large import to_json
from app.api.requests import NameField, parse
from app.engine import UnknownModel, UnknownVersion
from app.generations import SetAlias
from app.http.body import read_json_body
from app.http.context import Context, Ctx
from app.http.errors import AliasChanged, Conflict, Forbidden, InvalidRequest, UnknownPath, documented
from app.http.routes import RouteGroup
from bundle import Alias, BundleError, Store
from bundle.aliases import ALL, CURRENT
from bundle.history import Change, read_history
from bundle.store import check_name
from bundle.switching import ANY, NONE

MOST_CHANGES = 1000  # of an answer

routes = RouteGroup()


class AliasBody(BaseModel):
    """What the alias is to stand for: `version`, or `versions` with their shares."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: NameField | None = Field(None, description="a published version")
    versions: dict[str, int] | None = Field(
        None, description="two versions of one space, each with its share in percent, 100 together"
    )
    new_space: bool = Field(
        False, description="vectors under this name may be of another space than before; else 409"
    )

    def shares(self) -> dict[str, int]:
        """Version to percent. Raises InvalidRequest."""
        if (self.version is None) == (self.versions is None):
            raise InvalidRequest(
                "give version, or versions with shares", code="invalid_value", param="version"
            )
        return {self.version: ALL} if self.version is not None else dict(self.versions or {})


class AliasAnswer(BaseModel):
    """An alias, and what it stands for."""

    model: str
    alias: str
    versions: dict[str, int] = Field(description="version to its share in percent")
    seconds: float | None = Field(None, description="that the change took; null where nothing was changed")


class HistoryAnswer(BaseModel):
    """Changes, the newest first."""

    model: str
    changes: list[Change]


_CHANGES: dict[int | str, Any] = {
    200: {
        "model": AliasAnswer,
        "headers": {"ETag": {"description": "of the alias now", "schema": {"type": "string"}}},
    },
    **documented(
        UnknownModel, UnknownVersion, UnknownPath, AliasChanged, Conflict, Forbidden, InvalidRequest
    ),
}
_CONDITIONS = [
    {"name": name, "in": "header", "description": meaning, "schema": {"type": "string"}}
    for name, meaning in {
        "If-Match": "the ETag that the alias must have; * for one that is there; 412 otherwise",
        "If-None-Match": "*: the alias must not be there yet",
    }.items()
]


@routes.get(
    "/models/{name}/aliases/{alias}",
    responses=documented(UnknownModel, UnknownPath, Conflict, InvalidRequest),
    summary="What an alias stands for",
)
async def alias(context: Ctx, response: Response, name: str, alias: str) -> AliasAnswer:
    """The versions on the disk, and the ETag to change it by."""
    model = check_model(context, name)
    found = await asyncio.to_thread(_read, context, model, alias)
    response.headers["ETag"] = f'"{found.tag}"'
    return AliasAnswer(model=model, alias=alias, versions=dict(found.shares), seconds=None)


@routes.post(
    "/models/{name}/aliases/{alias}",
    method="PUT",
    access="admin",
    summary="Let an alias stand for another version",
    openapi_extra={
        "parameters": _CONDITIONS,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": AliasBody.model_json_schema()}},
        },
    },
    responses=_CHANGES,
)
async def put_alias(context: Context, request: Request) -> Response:
    """Prove and load the version where it is not loaded, and answer by it in every process, then say so.

    Of a pair both models change together. A version that cannot be served changes nothing.
    """
    body = parse(await read_json_body(context, request), AliasBody)
    return await _change(context, request, body.shares(), new_space=body.new_space)


@routes.post(
    "/models/{name}/aliases/{alias}",
    method="DELETE",
    access="admin",
    summary="Remove an alias",
    openapi_extra={"parameters": _CONDITIONS[:1]},
    responses=_CHANGES,
)
async def delete_alias(context: Context, request: Request) -> Response:
    """Let the alias stand for nothing; `current` cannot be removed."""
    if request.path_params["alias"] == CURRENT:
        raise InvalidRequest(
            f"a model always has a {CURRENT} version; PUT another one", code="invalid_alias", param="alias"
        )
    return await _change(context, request, {}, new_space=False)


@routes.get(
    "/models/{name}/history",
    responses=documented(UnknownModel, InvalidRequest),
    summary="Who changed what an alias stands for",
)
async def history(
    context: Ctx, name: str, limit: Annotated[int, Query(ge=1, le=MOST_CHANGES)] = 100
) -> HistoryAnswer:
    """Every change of `current` and other aliases, by a server, a shell or a training; the newest first."""
    model = check_model(context, name)

    def read() -> list[Change]:
        store = Store(context.settings.models_dir)
        return read_history(store.root / store.leader(model))[:limit]

    return HistoryAnswer(model=model, changes=await asyncio.to_thread(read))


async def _change(context: Context, request: Request, shares: dict[str, int], *, new_space: bool) -> Response:
    model, name = check_model(context, request.path_params["name"]), request.path_params["alias"]
    done = await make(context, SetAlias(who(), model, name, shares, _seen(request), new_space))
    answer = AliasAnswer(model=model, alias=name, versions=shares, seconds=round(done.seconds, 3))
    headers = {}
    if shares:
        found = await asyncio.to_thread(_read, context, model, name)
        headers["ETag"] = f'"{found.tag}"'
    return Response(to_json(answer.model_dump()), headers=headers, media_type="application/json")


def _seen(request: Request) -> str | None:
    """The tag that the alias must have, by the headers. Raises InvalidRequest."""
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none_match is not None:
        if none_match.strip() != ANY or match is not None:
            raise InvalidRequest(
                "If-None-Match: * stands alone; for a change send If-Match", code="invalid_value"
            )
        return NONE
    if match is None:
        return None
    if not (tag := match.strip().removeprefix("W/").strip('"')):
        raise InvalidRequest(
            "If-Match is empty; send the ETag of a GET, or leave the header out", code="invalid_value"
        )
    return tag


def _read(context: Context, model: str, name: str) -> Alias:
    """The alias on the disk. Raises UnknownPath, InvalidRequest, Conflict."""
    try:
        check_name(name)
    except BundleError as error:
        raise InvalidRequest(str(error), code="invalid_alias", param="alias") from None
    try:
        found = Store(context.settings.models_dir).alias(model, name)
    except BundleError as error:
        raise Conflict(str(error), code="not_sound") from None
    if found is None:
        raise UnknownPath(NO_ALIAS)
    return found
