"""Puts the parts together into an ASGI application; `app.process.server` runs it.

Nothing happens at import. Importing this never brings in torch, transformers or onnx.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI, Response

from app.access import Gate
from app.api import adapt, docs, encode, explain, health, models, page, score, shadow, version_aliases
from app.api.protocols import PROTOCOLS
from app.engine import Engine, Registry, ResultCache
from app.generations import Generations, alone
from app.http.application import Application
from app.http.context import Context
from app.http.cors import cors_of
from app.http.proxies import Proxies
from app.http.routes import RouteGroup
from app.live_aliases import LiveAliases
from app.live_models import LiveModels, Registries
from app.metrics import Metrics
from app.settings import Settings
from app.shared.listener import CannotServe
from app.shared.rate_table import RateTable
from app.shared.scoreboard import WorkerSlot
from app.shared.unmet import Unmet
from app.shared.versions import running_version
from app.side_work import SideWork
from app.tracing import are_traces_wanted, sending_traces
from bundle.aliases import CURRENT

GROUPS = (
    *(
        module.routes
        for module in (encode, score, explain, adapt, health, models, version_aliases, shadow, page, docs)
    ),
    *(protocol.group for protocol in PROTOCOLS),
)
_DESCRIPTION = "Vectors of texts, users and items. Vectors can be compared only if their `space` is equal."


def create_app(
    settings: Settings,
    models: Registry | Generations | None = None,
    slot: WorkerSlot | None = None,
    unmet: Sequence[Unmet] = (),
) -> Application:
    """The application.

    Args:
        settings: of this app.
        models: encoders already loaded, or generations that are loaded while the app serves; by default those
            of a controller of its own over `settings.models_dir`, begun at start.
        slot: of this process, where several serve together.
        unmet: what was asked for before and could not be had.

    Raises:
        CannotServe: the keys, the aliases or what traces are asked for by cannot be used; or, at start, there
            is nothing to be loaded.
    """
    metrics, gate, aliases = Metrics(slot), gate_of(settings, slot), aliases_of(settings, slot)
    is_traced = are_traces_wanted()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as stack:
            found = stack.enter_context(alone(settings)).seen() if models is None else models
            async with _serving(app, found):
                yield

    @asynccontextmanager
    async def _serving(app: FastAPI, found: Registry | Generations) -> AsyncIterator[None]:
        resolved = found.settings if isinstance(found, Generations) else settings
        current = (lambda: 0) if isinstance(found, Registry) else lambda: found.switch.current
        registries = Registries(lambda one: replace(one, aliases=aliases.table), current)
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
        cors, began_s = cors_of(settings.cors_origins), time.monotonic()
        threads = max(1, settings.threads // 2)  # its answers are made under Python's lock
        side_work = SideWork(threads, settings.max_wait_s)
        context = Context(
            resolved,
            registries.now,
            engine,
            metrics,
            began_s,
            gate=gate,
            cors=cors,
            side_work=side_work,
            unmet_at_start=unmet,
        )
        context.traces = traces = sending_traces(slot) if is_traced else None
        context.proxies = Proxies(settings.trusted_proxies, settings.root_path)

        def changed() -> None:
            models = registries.now().models.values()
            aliases.tell_useless(
                {one.name: [*one.versions, *one.loading, *one.aliases, CURRENT] for one in models}
            )
            metrics.watch(registries.now(), engine)

        def renew() -> None:
            registries.dress_again()
            changed()

        app.state.context, app.state.aliases = context, aliases
        if isinstance(found, Registry):
            registries.put(0, found)
            changed()
        else:
            app.state.generations, context.ask = found, found.ask
            app.state.live = LiveModels(found, registries, changed, slot)
            app.state.live.start()
        watching = [
            asyncio.create_task(one)
            for one in (metrics.watch_loop(), aliases.watch(renew), context.shadows.run())
        ]
        if gate is not None:
            watching += [asyncio.create_task(gate.watch()), asyncio.create_task(gate.refusals.watch())]
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
            if isinstance(found, Generations):
                app.state.live.close()
            if gate is not None:
                gate.refusals.tell_all()
            engine.close()
            side_work.close()
            if traces is not None:
                await asyncio.to_thread(traces.close)

    return Application(
        (*GROUPS, _metrics_route(metrics)) if settings.metrics else GROUPS,
        title="Encodery",
        version=running_version(),
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
        return Gate(settings.keys_file, secret, RateTable(slot), copy=_copy(slot, "keys.toml"))
    except ValueError as error:
        raise CannotServe(f"The keys cannot be used: {error}.") from None


def aliases_of(settings: Settings, slot: WorkerSlot | None = None) -> LiveAliases:
    """Other names of models. Raises CannotServe."""
    try:
        return LiveAliases(settings, copy=_copy(slot, "aliases.toml"))
    except ValueError as error:
        raise CannotServe(f"The aliases cannot be used: {error}.") from None


def _copy(slot: WorkerSlot | None, name: str) -> Path | None:
    """Where a process that serves with others keeps a file as it was when it was good."""
    return slot.scoreboard.directory / name if slot else None


def _metrics_route(metrics: Metrics) -> RouteGroup:
    routes = RouteGroup()

    @routes.get("/metrics", access="metrics", summary="For Prometheus", response_class=Response)
    async def prometheus() -> Response:
        return Response(await metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes
