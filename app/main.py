"""Puts the parts together into an ASGI application; `app.process.server` runs it.

Nothing happens at import. Importing this never brings in torch, transformers or onnx.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI, Response

from app.access import Gate, KeysError
from app.api import docs, encode, health, models, score
from app.api.protocols import PROTOCOLS
from app.engine import Engine, Registry, ResultCache, load_registry
from app.http.application import Application
from app.http.context import Context
from app.http.cors import cors_of
from app.http.routes import RouteGroup
from app.metrics import Metrics
from app.settings import Settings
from app.shared.listener import CannotServe
from app.shared.rate_table import RateTable
from app.shared.scoreboard import WorkerSlot
from bundle import Execution, Store

GROUPS = (
    *(module.routes for module in (encode, score, health, models, docs)),
    *(protocol.group for protocol in PROTOCOLS),
)
_DESCRIPTION = "Vectors of texts, users and items. Vectors can be compared only if their `space` is equal."


def create_app(
    settings: Settings, registry: Registry | None = None, slot: WorkerSlot | None = None
) -> Application:
    """The application.

    Args:
        settings: of this app.
        registry: encoders already loaded; by default those of `settings.models_dir`, at start.
        slot: of this process, where several serve together.

    Raises:
        CannotServe: the keys cannot be used; or, at start, there is no registry and nothing can be loaded.
    """
    metrics, gate = Metrics(slot), gate_of(settings, slot)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        found = registry if registry is not None else await asyncio.to_thread(load_models, settings)
        found = replace(found, aliases=settings.model_aliases)
        engine = Engine(
            workers=settings.threads,
            batch_cost=settings.batch_tokens,
            max_queue_items=settings.max_queue_items,
            max_queue_cost=settings.max_queue_tokens,
            max_wait_s=settings.max_wait_s,
            longest_pass_s=settings.stall_limit_s,
            observer=metrics,
            cache=ResultCache(size) if (size := settings.result_cache_bytes) else None,
            shared_load=slot,
        )
        metrics.watch(found, engine)
        app.state.context = Context(
            settings, found, engine, metrics, time.monotonic(), gate=gate, cors=cors_of(settings.cors_origins)
        )
        watching = [asyncio.create_task(metrics.watch_loop())]
        if gate is not None:
            watching.append(asyncio.create_task(gate.watch()))
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
            engine.close()

    return Application(
        (*GROUPS, _metrics_route(metrics)) if settings.metrics else GROUPS,
        title="Encodery",
        version=health.running_version(),
        description=_DESCRIPTION,
        lifespan=lifespan,
        has_keys=gate is not None,
    )


def gate_of(settings: Settings, slot: WorkerSlot | None = None) -> Gate | None:
    """Who may ask; None where there are no keys. Raises CannotServe."""
    secret = settings.api_key.get_secret_value() if settings.api_key else None
    if settings.keys_file is None and not secret:
        return None
    try:
        return Gate(settings.keys_file, secret, RateTable(slot))
    except KeysError as error:
        raise CannotServe(f"The keys cannot be used: {error}.") from None


def load_models(settings: Settings, weights: Path | None = None) -> Registry:
    """Every model that can be loaded.

    Args:
        settings: name the directory.
        weights: a private directory for weights that sessions, and processes, are to share.

    Raises:
        CannotServe: there is none.
    """
    directory = settings.models_dir
    if not directory.is_dir():
        raise CannotServe(f"There is no directory {directory}; set --models-dir or ENCODERY_MODELS_DIR.")
    loaded = load_registry(
        Store(directory),
        versions_per_model=settings.versions_per_model,
        execution=Execution(max_threads=settings.threads, weights=weights),
    )
    registry = replace(loaded, aliases=settings.model_aliases)
    if not registry.loaded:
        reasons = "; ".join(
            f"{one.name}/{one.version or 'current'}: {one.reason}" for one in registry.refused[:3]
        )
        raise CannotServe(f"{directory} holds no model that can be loaded. {reasons}".rstrip())
    return registry


def _metrics_route(metrics: Metrics) -> RouteGroup:
    routes = RouteGroup()

    @routes.get("/metrics", access="metrics", summary="For Prometheus", response_class=Response)
    async def prometheus() -> Response:
        return Response(await metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
