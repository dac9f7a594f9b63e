"""Triton's extension for its repository of models: what is published, and what is loaded.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_repository.md
A version to load is a parameter, `version`. Files and configurations in the request are refused: a model is
what was published, and a path in a request would be somebody else's file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

from fastapi import Request, Response
from pydantic import Field

from app.api.changes import check_model, make, who
from app.api.large import off_loop
from app.api.protocols.base import json_response
from app.api.protocols.foreign import parsed
from app.api.protocols.kserve.protocol import KSERVE
from app.api.protocols.tensors import WithNulls
from app.api.requests import load_object
from app.engine import Registry
from app.generations import Load, Unload
from app.http.body import read_body
from app.http.context import Context
from app.http.errors import InvalidRequest
from app.http.routes import Access
from bundle import Store

VERSION = "version"
HARMLESS = ("unload_dependents",)  # of unload; a pair goes together in any case


class IndexRequest(WithNulls):
    """Which models to list."""

    encodes, is_work, access = False, False, "any"

    field = "ready"
    ready: bool = Field(False, description="only those that can answer")


class LoadRequest(WithNulls):
    """Which version; by default the one that is current on the disk now, or of an unload all."""

    encodes, is_work = False, False
    access: ClassVar[Access] = "admin"

    field = "parameters"
    parameters: dict[str, Any] = Field({}, description="version: a published one")

    def version(self) -> str | None:
        """The version that is named. Raises InvalidRequest for any other parameter."""
        for name in self.parameters:
            if name not in (VERSION, *HARMLESS):
                raise InvalidRequest(
                    f"the only parameter here is {VERSION}: a model is what was published, and neither files "
                    "nor a configuration come with a request",
                    code="unsupported",
                    param="parameters",
                )
        found = self.parameters.get(VERSION)
        if found is not None and not (isinstance(found, str | int) and 0 < len(str(found)) <= 64):
            raise InvalidRequest(f"{VERSION} is the name of a version", code="wrong_type", param="parameters")
        return None if found is None else str(found)


@KSERVE.post("/v2/repository/index", IndexRequest, "Every version")
async def index(context: Context, request: Request) -> Response:
    """All that is published, loaded or not, and what was refused and why."""
    asked = await _read(context, request, IndexRequest)
    registry = context.registry
    found = list(_loaded(registry))
    if not asked.ready:
        found += await asyncio.to_thread(lambda: list(_others(context, registry)))
    return json_response(found)


@KSERVE.post("/v2/repository/models/{model}/load", LoadRequest, "Load a version")
async def load(context: Context, request: Request) -> Response:
    """Prove and load it in every process; 200 when all have it."""
    version = (await _read(context, request, LoadRequest)).version()
    model = check_model(context, request.path_params["model"])
    await make(context, Load(who(), model, version))
    return json_response({})


@KSERVE.post("/v2/repository/models/{model}/unload", LoadRequest, "Unload a version, or a model")
async def unload(context: Context, request: Request) -> Response:
    """Give its memory back; refused for what a name leads to, or readiness needs."""
    version = (await _read(context, request, LoadRequest)).version()
    model = check_model(context, request.path_params["model"])
    await make(context, Unload(who(), model, version))
    return json_response({})


async def _read(context: Context, request: Request, model: type[Any]) -> Any:
    body = await read_body(context, request)
    return await off_loop(len(body), lambda: parsed(load_object(body or b"{}", model.field), model))


def _loaded(registry: Registry) -> Iterator[dict[str, str]]:
    for loaded in registry.loaded:
        yield _entry(loaded.manifest.name, loaded.manifest.version, "READY", "")


def _others(context: Context, registry: Registry) -> Iterator[dict[str, str]]:
    """What was refused, what loads, and what is published and not loaded."""
    store = Store(context.settings.models_dir)
    for model in registry.models.values():
        told = set(model.versions)
        for one in model.refused:
            told.add(one.version or "")
            yield _entry(model.name, one.version or "", "UNAVAILABLE", one.reason)
        for version in model.loading:
            told.add(version)
            yield _entry(model.name, version, "LOADING", "")
        for version in store.versions(model.name) if context.ask is not None else ():
            if version not in told:
                yield _entry(model.name, version, "UNAVAILABLE", "unloaded")


def _entry(name: str, version: str, state: str, reason: str) -> dict[str, str]:
    return {"name": name, "version": version, "state": state, "reason": reason}
