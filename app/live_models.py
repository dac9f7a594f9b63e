"""The models of a running server: loaded in the background, and replaced as a whole by a reload.

Every new registry is handed over on the event loop, where requests take their encoders from it. A reload is
all or nothing: while it proves and loads, what there is serves on, and what there was stays if a model that
was ready would be so no more.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog

from app.engine import BatchProfile, Loaded, Loader, Registry
from app.proving import Round, Verdict, VerdictsInMemory
from app.shared.audit import audit
from app.shared.listener import CannotServe
from app.shared.scoreboard import WorkerSlot
from bundle import Execution, Store, memory

POLL_S = 0.05

log = structlog.get_logger("encodery")


class LiveModels:
    """The models of a running server; belongs to its event loop, and does on a thread what takes long.

    Args:
        found: what is to be loaded, being proven.
        take: is given every new registry, on the event loop.
        slot: of this process, where several serve together.

    Attributes:
        has_loaded: set when all was loaded or refused for the first time.
        is_short: this process lacks what those beside it serve, and must not take requests with them.
    """

    def __init__(
        self, found: Round, take: Callable[[Registry], None], slot: WorkerSlot | None = None
    ) -> None:
        self._settings, self._round, self._take, self._slot = found.settings, found, take, slot
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._is_closed = False
        self._loader = self._loader_of(found)
        self.has_loaded, self.is_short = asyncio.Event(), False

    @property
    def registry(self) -> Registry:
        """The newest one."""
        return self._loader.registry

    def start(self) -> None:
        """Load; a process alone at once takes requests, whatever is loaded, since nobody else does."""
        self._loop = asyncio.get_running_loop()
        if self._slot is not None and self._loader.has_verdicts:
            self._loader.load(self._told())
            self._settle_losses(self._slot)
            if self.is_short:
                return
        self._take(self.registry)
        self._submit(self._load)

    def reload(self) -> None:
        """Load what is published and current now; all of it, or nothing changes."""
        audit("models.reload", "SIGHUP")
        if self._loader.has_loaded:
            self._loader.close()  # the pace of what is replaced is of no use any more
        self._submit(self._reload)

    def close(self) -> None:
        """Stop loading and proving."""
        self._is_closed = True
        self._loader.close()
        self._round.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:  # it would be lost on this thread
                log.error("bug", error=type(error).__name__, exc_info=True)

        self._thread.submit(run)

    def _loader_of(self, found: Round, before: Registry | None = None) -> Loader:
        return Loader(
            Store(self._settings.models_dir),
            found.plan,
            found.verdicts,
            Execution(max_threads=self._settings.threads),
            first=self._settings.required,
            before=before,
        )

    def _load(self) -> None:
        self._loader.load(self._told(self._hand_over))
        if self._is_closed:
            return
        if self._slot is not None:
            self._settle_losses(self._slot)
        _settle()
        self._loop.call_soon_threadsafe(self.has_loaded.set)
        self._loader.follow_pace(self._seed)
        if self._loader.has_loaded:
            self._round.close()

    def _settle_losses(self, slot: WorkerSlot) -> None:
        """What this process cannot load although it was proven: the others have it, or nobody gets it."""
        verdicts, lost = self._round.verdicts, self._loader.lost
        lost = [one for one in lost if (verdict := verdicts.get(one.digest)) and verdict.reason is None]
        if not lost:
            return
        if slot.others_serve:
            self.is_short = True
            log.error("not joining: others serve what cannot be loaded here", lost=[one.name for one in lost])
            return
        reasons = {(one.name, one.version): one.reason for one in self.registry.refused}
        for one in lost:
            verdicts.put(one.digest, Verdict(reasons[one.name, one.version]))

    def _reload(self) -> None:
        try:
            found = Round.begin(self._settings, VerdictsInMemory(), before=self._round.verdicts)
        except CannotServe as error:
            log.error("not reloaded: the models from before go on", reason=str(error))
            return
        while not (found.has_proven() or self._is_closed):
            time.sleep(POLL_S)
        loader = self._loader_of(found, self.registry)
        loader.load(lambda registry: None)
        ready = {model.name for model in self.registry.models.values() if model.is_ready}
        worse = {
            model.name: "; ".join(one.reason for one in model.refused)
            for model in loader.registry.models.values()
            if model.name in ready and not model.is_ready
        }
        if worse or not loader.registry.loaded:
            log.error("not reloaded: the models from before go on", refused=worse)
            found.close()
            return
        self._round, self._loader = found, loader
        tell = self._told()
        tell(loader.registry)
        self._hand_over(loader.registry)
        _settle()
        log.info("reloaded", models=len(loader.registry.models))
        loader.follow_pace(self._seed)
        found.close()

    def _hand_over(self, registry: Registry) -> None:
        if not self._is_closed:
            self._loop.call_soon_threadsafe(self._take, registry)

    def _seed(self, loaded: Loaded, profile: BatchProfile) -> None:
        if not self._is_closed:
            self._loop.call_soon_threadsafe(loaded.pace.seed, profile)

    def _told(self, then: Callable[[Registry], None] = lambda registry: None) -> Callable[[Registry], None]:
        """Log what a registry has that the one before had not."""
        loaded: set[Loaded] = set()
        refused: set[tuple[str, str | None, str]] = set()

        def tell(registry: Registry) -> None:
            for one in registry.loaded:
                if one not in loaded:
                    loaded.add(one)
                    _log_loaded(one)
            for bad in registry.refused:
                if (key := (bad.name, bad.version, bad.reason)) not in refused:
                    refused.add(key)
                    log.error("refused", name=bad.name, version=bad.version or "current", reason=bad.reason)
            then(registry)

        return tell


def _settle() -> None:
    """Give back what loading took, and let no collection walk through what stays."""
    memory.give_back()
    gc.freeze()


def _log_loaded(loaded: Loaded) -> None:
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
