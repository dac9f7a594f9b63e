"""Runs the app in this process with uvicorn, from the first request it takes to the orderly end.

Called by `launcher` where one process serves, and by every `worker` where several do.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import Any

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.generations import Generations, Reload
from app.http.application import Application
from app.http.connection import Connection
from app.live_models import LiveModels
from app.main import create_app
from app.process import tls
from app.process.watchdog import Watchdog
from app.settings import Settings
from app.shared.listener import BACKLOG, CannotServe
from app.shared.scoreboard import WorkerSlot
from app.shared.unmet import Unmet
from bundle import memory

LINGER_S = 1.0  # for clients that keep a connection to use it once more, and learn that it closes
POLL_S = 0.05
ACCEPTS = 8  # new clients in a turn of the event loop; under overload turns are long
GC_EVERY = 10_000  # objects: requests leave hardly any circles, and every 700 the search took 8 % of overload
THREADS_END_S = 2.0  # after the grace: forward passes that were going to end have ended

log = structlog.get_logger("encodery")


def serve_on(
    listener: socket.socket, found: Generations, slot: WorkerSlot | None = None, unmet: Sequence[Unmet] = ()
) -> int:
    """Run until a signal comes; returns the exit status.

    Args:
        listener: bound.
        found: what is to be loaded, and the settings.
        slot: of this process, where several serve on the socket.
        unmet: what was asked for and could not be had.

    Raises:
        CannotServe: the keys cannot be used.
    """
    memory.keep_freed()
    return run(create_app(found.settings, found, slot, unmet), found.settings, listener, slot)


def run(app: Application, settings: Settings, listener: socket.socket, slot: WorkerSlot | None = None) -> int:
    """Serve an application on a bound socket until a signal comes; returns the exit status."""
    # What was built so far stays for good; without this, every large body parsed sets off a walk through it.
    gc.freeze()
    gc.enable()  # whoever started this may have put it off
    gc.set_threshold(GC_EVERY)
    # uvicorn raises the signal again when it is done: nothing more is to happen then, and the status is 0.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    server = _Server(app, settings, slot)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, lambda *_: server.hang_up())
    server.run([listener])
    # Python waits for its threads, and for a forward pass that hangs it would wait for ever.
    last_resort = threading.Timer(THREADS_END_S, os._exit, [1])
    last_resort.daemon = True
    last_resort.start()
    return server.status


class _Server(uvicorn.Server):
    """uvicorn, which says where it listens, is unready before it stops, and lets clients go gently.

    From the moment it is to end, every answer says `Connection: close`, so that clients which keep their
    connection leave it by themselves: one that is closed under a client may take a request with it.
    """

    def __init__(self, app: Application, settings: Settings, slot: WorkerSlot | None) -> None:
        self._app, self._settings, self._slot = app, settings, slot
        self._tls = tls.tls_context(settings)
        self._is_ready = False
        self._watchdog = Watchdog(settings.stall_limit_s) if slot is None else None
        self.status = 0
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

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn does, with a limit on the time that a client takes to agree on keys."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        if self._live is not None and self._live.is_short:
            await self.lifespan.shutdown()
            self.status, self.should_exit = 1, True
            return
        make = partial(
            Connection,
            self._app,
            self.config,
            self.server_state,
            self.lifespan.state,
            loop := asyncio.get_running_loop(),
        )
        secured: dict[str, Any] = {}
        if self._tls is not None:
            secured = {"ssl": self._tls, "ssl_handshake_timeout": self._settings.head_timeout_s}
        # uvloop takes one new client of a socket in a turn: of several, as many as there are copies of it.
        copies = [copy for one in sockets or () for copy in (one, *[one.dup() for _ in range(ACCEPTS - 1)])]
        self.servers = [
            await loop.create_server(make, sock=one, backlog=BACKLOG, **secured) for one in copies
        ]
        self.started = True

    def hang_up(self) -> None:
        """SIGHUP: read files again; the models, too, where nobody else looks after them."""
        if (gate := self._app.context.gate) is not None:
            gate.look_again()
        self._app.state.aliases.look_again()
        if self._tls is not None:
            self._renew(self._tls)
        generations = getattr(self._app.state, "generations", None)
        if self._slot is None and generations is not None:
            self._reloading = asyncio.ensure_future(generations.ask(Reload("SIGHUP")))

    def _renew(self, context: ssl.SSLContext) -> None:
        try:
            tls.load(context, self._settings)
        except CannotServe as error:
            log.error("the certificate from before stays", reason=str(error))
        else:
            log.info("the certificate was read again")

    @property
    def _live(self) -> LiveModels | None:
        return getattr(self._app.state, "live", None)

    async def _say_when_ready(self, url: str) -> None:
        """Wait for the models, and end if there is none."""
        if self._live is not None:
            await self._live.has_loaded.wait()
            if self._live.is_short:
                self.status, self.should_exit = 1, True
                return
        if not self._app.context.models.loaded:
            log.error("no model could be loaded; the lines before say why")
            self.status, self.should_exit = 1, True
            return
        self._is_ready = True
        gc.freeze()  # the models, too
        needs = {} if self._app.context.gate is None else {"needs": "a key"}
        log.info("ready", url=url, **needs)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._app.context.is_draining = True  # at once: the main loop looks every 0.1 s
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        stalled_s = self._app.context.engine.stalled_s
        if self._watchdog is not None:
            self._watchdog.beat()
            if stalled_s > self._settings.stall_limit_s:
                log.error("a forward pass hangs: ending, to be started again", for_s=round(stalled_s, 1))
                self._app.context.is_draining = True
                self.status, self.should_exit = 1, True
        if self._slot is not None:
            self._slot.beat(stalled_s, is_serving=self._is_ready)
            if self._slot.is_orphaned:
                log.error("the supervisor is gone")
                self.should_exit = True
        return await super().on_tick(counter)

    async def main_loop(self) -> None:
        # Not before: uvicorn ends at once, without this loop, if a signal came while it was starting.
        url = _url(self._settings, self.servers[0].sockets[0])
        log.info("listening", url=url)
        waiting = asyncio.create_task(self._say_when_ready(url))
        if self._watchdog is not None:
            self._watchdog.start()
        await super().main_loop()
        if self._watchdog is not None:
            self._watchdog.close()
        waiting.cancel()
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
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


def _url(settings: Settings, listener: Any) -> str:
    """Where the server is asked."""
    scheme = "http" if settings.tls_certificate is None else "https"
    if settings.socket is not None:  # which got its name after it was bound
        return f"{scheme}+unix://{settings.socket}"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
