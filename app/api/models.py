"""What is loaded: GET /models, /models/{name}, its /schema and /card, and /model-version.

The first two tell it twice: in our own words, and as OpenAI's list does, since clients whose base URL has no
/v1 (openai's `models.list()`, infinity_client) ask here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel, Field

from app.access import CALLER
from app.aliases import is_pattern
from app.engine import (
    EngineError,
    Loaded,
    Loading,
    Model,
    NotReady,
    Refused,
    Registry,
    UnknownModel,
    UnknownVersion,
)
from app.http.context import Context, Ctx
from app.http.errors import InvalidRequest, UnknownPath, documented
from app.http.routes import RouteGroup
from bundle import BundleError, Manifest, Store
from bundle.aliases import CURRENT
from bundle.directory import GRAPH
from bundle.history import Change, read_history
from bundle.lineage import Replaced, replaced_by
from bundle.manifest import Adapts, Joined, Metric, Reference, reported

routes = RouteGroup()


class ModelCard(BaseModel):
    """A model that can answer, as OpenAI tells of one.

    Attributes:
        root: the version behind the name, as vLLM has it.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    root: str


class ModelStats(BaseModel):
    """The work that there is, as Infinity tells of it.

    Attributes:
        queue_fraction: of all that may be in work, how much is.
        queue_absolute: inputs that wait for the model.
        results_pending: inputs in work, for any model.
    """

    queue_fraction: float
    queue_absolute: int
    results_pending: int


class ListedModel(ModelCard):
    """The same with what Infinity adds. Its own client takes no other owner than itself, so none is told."""

    backend: str = "onnxruntime"
    capabilities: list[str] = ["embed"]
    stats: ModelStats


class Lineage(BaseModel):
    """Where a version comes from and what followed it; null where nothing says, or the key may not know."""

    start: Reference | None = Field(description="the published encoder whose weights it began with")
    teacher: Reference | str | None = Field(description="that it was taught by; a source where none of ours")
    data_sha256: str = Field(description="of what it was fitted on")
    replaced_by: Replaced | None = Field(description="what became current after it; null while it is")


class LoadedVersion(BaseModel):
    """A version in memory."""

    version: str
    names: list[str] = Field(description="`current`, and aliases that lead to it")
    space: str
    joins: Joined | None = Field(description="the encoder whose space it was trained to join")
    adapts: Adapts | None = Field(description="of an adapter: the spaces that it lies between")
    lineage: Lineage
    created: str = Field(description="when it was trained")
    lately: int = Field(description="inputs that this process answered in the last five minutes")
    weight_bytes: int = Field(description="of its graph with the weights; processes share one copy")


class ModelSummary(BaseModel):
    """One model in the list; the facts are those of its current version, null if that is not loaded."""

    name: str
    current: str | None
    kind: str | None
    space: str | None
    dim: int | None
    description: str | None
    figures: dict[str, Metric] | None = Field(
        description="of test splits where there are such, each with other methods in the same run"
    )
    languages: list[str] | None = Field(description="that it was trained for; empty if that is not known")
    not_for: str | None = Field(description="what it should not be used for; empty if nothing is said")
    aliases: dict[str, dict[str, int]] = Field(
        description="other names of versions, each with the shares in percent of those it stands for"
    )
    loaded: list[str]
    versions: list[LoadedVersion] = Field(description="the same with what there is to tell of each")
    loading: list[str]
    refused: list[Refused]


_FACTS = ("kind", "space", "dim", "description", "languages", "not_for")


class ModelList(BaseModel):
    """Every model."""

    default: str | None = Field(description="null for a key that may not ask for it")
    models: list[ModelSummary]
    aliases: dict[str, str] = Field(
        description="other names, and patterns of such, each for a model or a version of it: "
        "ENCODERY_MODEL_ALIASES, ENCODERY_ALIASES_FILE"
    )
    object: Literal["list"] = "list"
    data: list[ListedModel] = Field(description="those that can answer, and their other names")


class ModelDetail(BaseModel):
    """One model with the manifests of its loaded versions, the current one first."""

    id: str = Field(description="the name that was asked for")
    object: Literal["model"] = "model"
    created: int | None = Field(description="unix time of the training of the current version")
    name: str
    current: str | None
    versions: list[Manifest]
    refused: list[Refused]


class ModelVersion(BaseModel):
    """What answers a request that names no version."""

    name: str
    version: str
    space: str
    dim: int
    dimensions: list[int]
    kind: str
    graph_sha256: str
    trained: dict[str, Any]


@routes.get("/models", summary="Every model")
async def models(context: Ctx) -> ModelList:
    """Every model of the directory, those that were refused too."""
    registry = context.registry
    default, _ = registry.resolve(context.settings.default_model)
    history = await asyncio.to_thread(_history, context.settings.models_dir, registry)
    return ModelList(
        default=default if default in registry.models else None,
        models=[_summary(context, model, history[model.name]) for model in registry.models.values()],
        aliases=registry.usable_aliases,
        data=[
            ListedModel(**card_of(name, loaded).model_dump(), stats=_stats(context, loaded))
            for name, loaded in answering(registry)
        ],
    )


@routes.get("/models/{name}", responses=documented(UnknownModel, InvalidRequest), summary="One model")
async def model(name: str, context: Ctx) -> ModelDetail:
    """The manifests of all loaded versions, and what was refused and why."""
    found = context.registry.model(name)
    current = found.versions.get(found.current or "")
    return ModelDetail(
        id=name,
        created=card_of(name, current).created if current else None,
        name=found.name,
        current=found.current,
        versions=[_shown(loaded.manifest) for loaded in found.versions.values()],
        refused=list(found.refused),
    )


@routes.get(
    "/models/{name}/schema",
    responses=documented(UnknownModel, UnknownVersion, InvalidRequest, Loading, NotReady),
    summary="What a model takes",
)
async def schema(name: str, context: Ctx, version: str | None = None) -> dict[str, Any]:
    """JSON Schema (2020-12) of one input, with examples that can be sent as they are."""
    loaded = context.registry.find(name, version=version)
    return {**loaded.encoder.schema(), "examples": list(loaded.examples)}


@routes.get(
    "/models/{name}/card",
    responses=documented(UnknownModel, UnknownVersion, InvalidRequest, Loading, NotReady),
    summary="The model card",
    response_class=Response,
)
async def card(name: str, context: Ctx, version: str | None = None) -> Response:
    """The README.md of a loaded version, as Markdown. Raises UnknownPath where the disk has it no more."""
    manifest = context.registry.find(name, version=version).manifest
    try:
        content = await asyncio.to_thread(Store(context.settings.models_dir).card, manifest)
    except BundleError as error:
        raise UnknownPath(f"the card cannot be read: {error}") from None
    return Response(content, media_type="text/markdown")


@routes.get(
    "/model-version",
    responses=documented(UnknownModel, UnknownVersion, InvalidRequest, Loading, NotReady),
    summary="Which version answers",
)
async def model_version(context: Ctx, model: str | None = None) -> ModelVersion:
    """The current version of the default model, or of `model`."""
    return _version(context.registry.find(model or context.default_model))


def answering(registry: Registry) -> Iterator[tuple[str, Loaded]]:
    """Every model that can answer, and the other names of such."""
    for name in (*registry.models, *names_of(registry)):
        with suppress(EngineError):  # it cannot
            yield name, registry.find(name)


def names_of(registry: Registry) -> list[str]:
    """The other names of models; a pattern is none that could be asked for."""
    return [name for name in registry.usable_aliases if not is_pattern(name)]


def card_of(name: str, loaded: Loaded) -> ModelCard:
    """A model under one of its names."""
    manifest = loaded.manifest
    created = int(datetime.fromisoformat(manifest.trained.created).timestamp())
    return ModelCard(id=name, created=created, root=f"{manifest.name}/{manifest.version}")


def _stats(context: Context, loaded: Loaded) -> ModelStats:
    items, _ = context.engine.queued(loaded)
    in_work = context.engine.items_in_all
    return ModelStats(
        queue_fraction=round(in_work / context.settings.max_queue_items, 4),
        queue_absolute=items,
        results_pending=in_work,
    )


def _shown(manifest: Manifest) -> Manifest:
    """The manifest; without peers that the caller may not ask for, which are not there for him."""
    key = CALLER.get().key
    peers = [peer for peer in manifest.peers if key.may_ask(peer.name)]
    return manifest if len(peers) == len(manifest.peers) else manifest.model_copy(update={"peers": peers})


def _history(models: Path, registry: Registry) -> dict[str, list[Change]]:
    """Of each model, where it has versions that something may have replaced."""
    store = Store(models)
    return {
        name: read_history(store.root / (model.leader or name)) if len(model.versions) > 1 else []
        for name, model in registry.models.items()
    }


def _summary(context: Context, model: Model, history: Sequence[Change]) -> ModelSummary:
    current = model.versions.get(model.current or "")
    facts = _facts(current.manifest) if current else dict.fromkeys((*_FACTS, "figures"))
    return ModelSummary(
        **facts,
        name=model.name,
        current=model.current,
        aliases={name: dict(shares) for name, shares in model.aliases.items()},
        loaded=list(model.versions),
        versions=[_version_of(context, model, loaded, history) for loaded in model.versions.values()],
        loading=list(model.loading),
        refused=list(model.refused),
    )


def _lineage(loaded: Loaded, history: Sequence[Change]) -> Lineage:
    origin, trained = loaded.origin, loaded.manifest.trained
    start, teacher = (_known(one) for one in (origin.start, origin.teacher))
    assert not isinstance(start, str)
    return Lineage(
        start=start,
        teacher=teacher,
        data_sha256=trained.data_sha256,
        replaced_by=replaced_by(history, loaded.manifest.version),
    )


def _known(origin: Reference | str | None) -> Reference | str | None:
    """Where something comes from; None for a model that the caller may not ask for."""
    if isinstance(origin, Reference) and not CALLER.get().key.may_ask(origin.name):
        return None
    return origin


def _version_of(context: Context, model: Model, loaded: Loaded, history: Sequence[Change]) -> LoadedVersion:
    manifest = loaded.manifest
    current = [CURRENT] if manifest.version == model.current else []
    aliases = [name for name, shares in model.aliases.items() if manifest.version in shares]
    return LoadedVersion(
        version=manifest.version,
        names=current + aliases,
        space=manifest.space,
        joins=manifest.joins,
        adapts=manifest.adapts,
        lineage=_lineage(loaded, history),
        lately=context.metrics.lately(loaded),
        created=manifest.trained.created,
        weight_bytes=manifest.files[GRAPH].size,
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    figures = reported(manifest.trained.metrics)
    return {name: getattr(manifest, name) for name in _FACTS} | {"figures": figures}


def _version(loaded: Loaded) -> ModelVersion:
    manifest = loaded.manifest
    return ModelVersion(
        name=manifest.name,
        version=manifest.version,
        space=manifest.space,
        dim=manifest.dim,
        dimensions=manifest.dimensions,
        kind=manifest.kind,
        graph_sha256=manifest.files["model.onnx"].sha256,
        trained=manifest.trained.model_dump(),
    )
