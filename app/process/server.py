"""Runs the app in this process with uvicorn, from the log of its models to the orderly end.

Called by `launcher` where one process serves, and by every `worker` where several do.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
import uvicorn

from app.engine import Registry
from app.http.application import Application
from app.http.connection import Connection
from app.main import create_app, load_models
from app.settings import Settings
from app.shared.scoreboard import WorkerSlot
from app.shared.scratch import scratch
from bundle import memory

LINGER_S = 1.0  # for clients that keep a connection to use it once more, and learn that it closes
POLL_S = 0.05
THREADS_END_S = 2.0  # after the grace: forward passes that were going to end have ended

log = structlog.get_logger("encodery")


def serve_on(
    listener: socket.socket, settings: Settings, slot: WorkerSlot | None = None, weights: Path | None = None
) -> None:
    """Load every model, then run until a signal comes.

    Args:
        listener: bound.
        settings: of this process.
        slot: of this process, where several serve on the socket.
        weights: a directory for weights that these processes share; by default one for the time of loading,
            since what is mapped from a file stays when the file's name is gone.

    Raises:
        CannotServe: no model can be loaded.
    """
    memory.keep_freed()
    with nullcontext(weights) if weights else scratch() as directory:
        registry = load_models(settings, directory)
    memory.give_back()
    _log_models(registry, settings)
    run(create_app(settings, registry, slot), settings, listener, slot)


def run(
    app: Application, settings: Settings, listener: socket.socket, slot: WorkerSlot | None = None
) -> None:
    """Serve an application on a bound socket until a signal comes."""
    # What was built so far stays for good; without this, every large body parsed sets off a walk through it.
    gc.collect()
    gc.freeze()
    # uvicorn raises the signal again when it is done: nothing more is to happen then, and the status is 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    server = _Server(app, settings, slot)
    if slot is not None:
        signal.signal(signal.SIGHUP, lambda *_: server.retire())
    server.run([listener])
    # Python waits for its threads, and for a forward pass that hangs it would wait for ever.
    last_resort = threading.Timer(THREADS_END_S, os._exit, [1])
    last_resort.daemon = True
    last_resort.start()


class _Server(uvicorn.Server):
    """uvicorn, which says where it listens, is unready before it stops, and lets clients go gently.

    From the moment it is to end, every answer says `Connection: close`, so that clients which keep their
    connection leave it by themselves: one that is closed under a client may take a request with it.
    """

    def __init__(self, app: Application, settings: Settings, slot: WorkerSlot | None) -> None:
        self._app, self._settings, self._slot = app, settings, slot
        self._is_retiring = False
        super().__init__(
            uvicorn.Config(
                app,
                http=partial(Connection, app),  # type: ignore[arg-type]  # called like the class
                ws="none",
                timeout_keep_alive=settings.keep_alive_s,
                timeout_graceful_shutdown=settings.shutdown_grace_s,
                server_header=False,
                access_log=False,
                proxy_headers=False,
                log_config=None,
            )
        )

    def retire(self) -> None:
        """End, since another process has taken this one's place; the server as a whole goes on."""
        self._is_retiring = self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.context.is_draining = True  # at once: the main loop looks every 0.1 s
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._slot is not None:
            context = self._app.context
            if context.engine.stalled_s <= self._settings.stall_limit_s:
                self._slot.beat()
            if self._slot.is_orphaned:
                log.error("the supervisor is gone")
                self.should_exit = True
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        # Not before: uvicorn ends at once, without this loop, if a signal came while it was starting.
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        log.info("ready", url=f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await super().main_loop()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        if self._is_retiring:
            log.info("retiring", grace_s=self._settings.shutdown_grace_s)
        else:
            await self._stop_being_ready()
        for server in self.servers:
            server.close()
        await self._while_connected(LINGER_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):  # half of a request came, and no more
            connection.transport.abort()

    async def _stop_being_ready(self) -> None:
        delay_s = self._settings.drain_delay_s
        log.info("stopping", drain_delay_s=delay_s, grace_s=self._settings.shutdown_grace_s)
        stop_s = time.monotonic() + delay_s
        while time.monotonic() < stop_s and not self.force_exit:
            await asyncio.sleep(POLL_S)

    async def _while_connected(self, most_s: float) -> None:
        stop_s = time.monotonic() + most_s
        while self.server_state.connections and time.monotonic() < stop_s and not self.force_exit:
            await asyncio.sleep(POLL_S)


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
            batch_tokens=settings.batch_tokens or loaded.pace.profile.batch_cost,
            deep_batch_tokens=settings.batch_tokens or loaded.pace.profile.deep_cost,
            threads_when_idle=settings.threads if loaded.pace.profile.is_faster_multithreaded else 1,
        )
    for refused in registry.refused:
        log.error("refused", name=refused.name, version=refused.version or "current", reason=refused.reason)
    for name, target in settings.model_aliases.items():
        if name not in registry.usable_aliases:
            why = "a model has this name" if name in registry.models else "its model is not there"
            log.warning("alias without effect", name=name, stands_for=target, reason=why)
    if registry.resolve(settings.default_model)[0] not in registry.models:
        log.error(
            "not ready: the default model is missing; set ENCODERY_DEFAULT_MODEL",
            default_model=settings.default_model,
            loaded=list(registry.models),
        )
