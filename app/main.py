"""Puts the parts together: `create_app` for any ASGI server, `serve` for ours.

Nothing happens at import. Importing this never brings in torch, transformers or onnx.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from fastapi import FastAPI, Response

from app import errors
from app.api import docs, encode, health, models
from app.api.context import Context
from app.engine import Engine, Registry, load_registry
from app.guard import HeaderGuard
from app.metrics import Metrics
from app.observe import Observed, set_up_log
from app.settings import Settings, unknown_variables
from bundle import Store

log = structlog.get_logger("encodery")

_DESCRIPTION = "Vectors of texts, users and items. Vectors can be compared only if their `space` is equal."


class CannotServe(Exception):
    """The models directory is missing, or holds no model that can be loaded."""


def create_app(settings: Settings, registry: Registry | None = None) -> FastAPI:
    """The application.

    Args:
        settings: of this app.
        registry: encoders already loaded; by default those of `settings.models_dir`, at start.

    Raises:
        CannotServe: at start, if there is no registry and nothing can be loaded.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        found = registry if registry is not None else await asyncio.to_thread(load_models, settings)
        engine = Engine(
            workers=settings.workers,
            batch_cost=settings.batch_tokens,
            max_queue_items=settings.max_queue_items,
            max_queue_cost=settings.max_queue_tokens,
            observer=metrics,
        )
        metrics.watch(found, engine)
        app.state.context = Context(settings, found, engine, metrics, started_s=time.monotonic())
        watching = asyncio.create_task(metrics.watch_loop())
        yield
        watching.cancel()
        engine.close()

    app = FastAPI(
        title="Encodery",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # ours needs no internet: app.api.docs
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # 10 us a request without any SDK
    )
    for part in (encode, health, models):
        app.include_router(part.router)
    docs.install(app)
    if settings.metrics:
        _add_metrics(app, metrics)
    errors.install(app)
    app.add_middleware(HeaderGuard)
    app.add_middleware(Observed, metrics=metrics)  # added last, so outermost
    return app


def load_models(settings: Settings) -> Registry:
    """Every model that can be loaded. Raises CannotServe."""
    directory = settings.models_dir
    if not directory.is_dir():
        raise CannotServe(f"There is no directory {directory}; set --models-dir or ENCODERY_MODELS_DIR.")
    registry = load_registry(Store(directory), versions_per_model=settings.versions_per_model)
    if not registry.loaded:
        reasons = "; ".join(
            f"{one.name}/{one.version or 'current'}: {one.reason}" for one in registry.refused[:3]
        )
        raise CannotServe(f"{directory} holds no model that can be loaded. {reasons}".rstrip())
    return registry


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then finish what was accepted.

    Raises:
        CannotServe: before the port is opened.
    """
    set_up_log(settings.log_format, settings.log_level)
    log.info("settings", **settings.shown())
    for name, nearest in unknown_variables(os.environ).items():
        log.warning("unknown variable, ignored", name=name, nearest=nearest)
    registry = load_models(settings)
    _log_models(registry, settings)
    # What was built so far stays for good; without this, every large body parsed sets off a walk through it.
    gc.collect()
    gc.freeze()
    app = create_app(settings, registry)
    # uvicorn raises the signal again when it is done: nothing more is to happen then, and the status is 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    _Server(app, settings).run()


class _Server(uvicorn.Server):
    """uvicorn, which says where it listens, and is unready before it stops listening."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._app, self._settings = app, settings
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.listen_port,
                http="httptools",
                ws="none",
                timeout_keep_alive=settings.keep_alive_s,
                timeout_graceful_shutdown=settings.shutdown_grace_s,
                server_header=False,
                access_log=False,
                proxy_headers=False,
                log_config=None,
            )
        )

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]  # we pass none
        await super().startup()
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            log.info("ready", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")

    async def main_loop(self) -> None:
        await super().main_loop()
        self._app.state.context.is_draining = True
        log.info(
            "stopping", drain_delay_s=self._settings.drain_delay_s, grace_s=self._settings.shutdown_grace_s
        )
        stop_s = time.monotonic() + self._settings.drain_delay_s
        while time.monotonic() < stop_s and not self.force_exit:
            await asyncio.sleep(0.05)


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", summary="For Prometheus", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _log_models(registry: Registry, settings: Settings) -> None:
    for loaded in registry.loaded:
        manifest = loaded.manifest
        log.info(
            "model",
            name=manifest.name,
            version=manifest.version,
            space=manifest.space,
            dim=manifest.dim,
            kind=manifest.kind,
            load_ms=round(loaded.load_s * 1e3),
        )
    for refused in registry.refused:
        log.error("refused", name=refused.name, version=refused.version or "current", reason=refused.reason)
    if settings.default_model not in registry.models:
        log.error(
            "not ready: the default model is missing; set ENCODERY_DEFAULT_MODEL",
            default_model=settings.default_model,
            loaded=list(registry.models),
        )
