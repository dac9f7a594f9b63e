"""Runs the application with uvicorn: the log at start, the socket, and the orderly end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time

import structlog
import uvicorn
from fastapi import FastAPI

from app.engine import Registry
from app.listener import bind
from app.log import set_up_log
from app.main import create_app, load_models
from app.settings import Settings, unknown_variables

THREADS_END_S = 2.0  # after the grace: forward passes that were going to end have ended

log = structlog.get_logger("encodery")


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then finish what was accepted.

    Raises:
        CannotServe: before the first request is taken.
    """
    set_up_log(settings.log_format, settings.log_level)
    log.info("settings", **settings.shown())
    for name, nearest in unknown_variables(os.environ).items():
        log.warning("unknown variable, ignored", name=name, nearest=nearest)
    with bind(settings) as listener:
        registry = load_models(settings)
        _log_models(registry, settings)
        run(create_app(settings, registry), settings, listener)


def run(app: FastAPI, settings: Settings, listener: socket.socket) -> None:
    """Serve an application on a bound socket until a signal comes."""
    # What was built so far stays for good; without this, every large body parsed sets off a walk through it.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal again when it is done: nothing more is to happen then, and the status is 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    _Server(app, settings).run([listener])
    # Python waits for its threads, and for a forward pass that hangs it would wait for ever.
    last_resort = threading.Timer(THREADS_END_S, os._exit, [1])
    last_resort.daemon = True
    last_resort.start()


class _Server(uvicorn.Server):
    """uvicorn, which says where it listens, and is unready before it stops listening."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self._app, self._settings = app, settings
        super().__init__(
            uvicorn.Config(
                app,
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
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
            batch_tokens=settings.batch_tokens or loaded.batch_cost,
        )
    for refused in registry.refused:
        log.error("refused", name=refused.name, version=refused.version or "current", reason=refused.reason)
    if settings.default_model not in registry.models:
        log.error(
            "not ready: the default model is missing; set ENCODERY_DEFAULT_MODEL",
            default_model=settings.default_model,
            loaded=list(registry.models),
        )
