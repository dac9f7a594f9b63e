"""The models of a process that serves: it loads each generation that is offered beside the one before.

Requests take theirs by the number that all processes see (`app.shared.switch`), and keep it to their end.
What no request can take any more is dropped, so that its memory is given back.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Collection
from functools import partial
from itertools import count

import structlog

from app.engine import Loaded, Loader, Refused, Registry
from app.generations import Generations
from app.proving import Verdict
from app.shared.scoreboard import WorkerSlot
from bundle import Execution, Store, memory

LOOK_S = 0.01  # between looks at the switch; part of what a rollback takes
PACE_TURNS = 50  # looks, for one at what was measured

log = structlog.get_logger("encodery")


class Registries:
    """The registries of a process, by generation.

    Args:
        dress: gives a registry what no bundle has: the aliases of settings.
        current: the generation that requests are answered by.
    """

    def __init__(self, dress: Callable[[Registry], Registry], current: Callable[[], int]) -> None:
        self._dress, self._current, self._lock = dress, current, threading.Lock()
        self._found: dict[int, Registry] = {}

    def now(self) -> Registry:
        """The one to answer by. Before it is loaded here, as while a process starts, the newest there is."""
        found = self._found
        return found.get(self._current()) or (found[max(found)] if found else Registry())

    def put(self, generation: int, registry: Registry) -> None:
        """Have a generation, or more of it."""
        with self._lock:
            self._found = {**self._found, generation: self._dress(registry)}

    def keep(self, generations: Collection[int]) -> None:
        """Drop all others."""
        with self._lock:
            self._found = {number: one for number, one in self._found.items() if number in generations}

    def dress_again(self) -> None:
        """Dress all anew: the aliases have changed."""
        with self._lock:
            self._found = {number: self._dress(one) for number, one in self._found.items()}


class LiveModels:
    """Follows the generations, on a thread of its own; belongs to an event loop.

    Args:
        generations: as this process sees them.
        registries: are given each registry.
        changed: is called on the event loop when there is another one to answer by, or more of it.
        slot: of this process, where several serve together.

    Attributes:
        has_loaded: set when all was loaded or refused for the first time.
        is_short: this process lacks what those beside it serve, and must not take requests with them.
    """

    def __init__(
        self,
        generations: Generations,
        registries: Registries,
        changed: Callable[[], None],
        slot: WorkerSlot | None = None,
    ) -> None:
        self._generations, self._registries, self._changed = generations, registries, changed
        self._switch, self._slot = generations.switch, slot
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)
        self._is_closed = threading.Event()
        self._loaders: dict[int, Loader] = {}
        self._newest, self._has_dropped = 0, False
        self.has_loaded, self.is_short = asyncio.Event(), False

    def start(self) -> None:
        """Load; a process alone at once takes requests, whatever is loaded, since nobody else does."""
        self._loop = asyncio.get_running_loop()
        loader = self._begin(self._switch.current)
        while self._slot is not None and loader.has_verdicts:
            loader.load(_teller())
            self._settle_losses(loader, self._slot)
            if self.is_short:
                return
            self._answer_by(self._newest)
            if self._switch.current == self._newest:
                break
            loader = self._begin(self._switch.current)  # it flipped meanwhile
        self._answer_by(self._newest)
        self._changed()
        self._thread.start()

    def close(self) -> None:
        """Stop loading."""
        self._is_closed.set()
        for loader in list(self._loaders.values()):
            loader.close()

    def _run(self) -> None:
        try:
            self._load_first(self._loaders[self._newest])
            for turn in count(1):
                if self._is_closed.wait(LOOK_S):
                    return
                self._look()
                if turn % PACE_TURNS == 0:
                    self._seed_paces()
        except Exception as error:  # it would be lost on this thread
            log.error("bug", error=type(error).__name__, exc_info=True)

    def _load_first(self, loader: Loader) -> None:
        generation = self._newest

        def more(registry: Registry) -> None:
            self._registries.put(generation, registry)
            self._on_loop(self._changed)

        loader.load(_teller(then=more))
        if self._is_closed.is_set():
            return
        if self._slot is not None:
            self._settle_losses(loader, self._slot)
        _settle()
        self._generations.settled(generation)
        self._on_loop(self.has_loaded.set)

    def _settle_losses(self, loader: Loader, slot: WorkerSlot) -> None:
        """What this process cannot load although it was proven: the others have it, or nobody gets it."""
        _, verdicts = self._generations.records.read(self._newest)
        lost = [one for one in loader.lost if (found := verdicts.get(one.digest)) and found.reason is None]
        if not lost:
            return
        if slot.others_serve:
            self.is_short = True
            log.error("not joining: others serve what cannot be loaded here", lost=[one.name for one in lost])
            return
        for one in lost:
            verdicts.put(one.digest, Verdict(loader.reason(one)))

    def _look(self) -> None:
        """Load what is offered, and drop what no request can take any more."""
        if self._has_dropped:  # on the event loop, too, by now
            self._has_dropped = False
            _settle()
        if (offered := self._switch.offered) > self._newest:
            try:
                self._load_beside(offered)
            except Exception as error:  # whatever it is, the others are not to wait for this process
                log.error("bug", error=type(error).__name__, exc_info=True)
                self._newest = offered
                self._switch.lacks(self._generations.slot, offered)
        wanted = {self._switch.current, self._switch.offered}
        if dropped := self._loaders.keys() - wanted:
            for generation in dropped:
                del self._loaders[generation]
            self._registries.keep(wanted)
            self._has_dropped = True
            self._on_loop(self._changed)
            self._generations.settled(self._switch.current)

    def _load_beside(self, generation: int) -> None:
        """Load a generation, and say that requests can be answered by it, or that it cannot be loaded."""
        before = self._registries.now()
        loader = self._begin(generation, before)
        loader.load()
        if self._is_closed.is_set():
            return
        if loader.lost:
            told = {f"{one.name}/{one.version}": loader.reason(one) for one in loader.lost}
            log.error("what was proven cannot be loaded", lost=told)
            _, verdicts = self._generations.records.read(generation)
            for one in loader.lost:
                verdicts.put(one.digest, Verdict(loader.reason(one)))
            self._switch.lacks(self._generations.slot, generation)
            return
        _teller(before)(loader.registry)
        self._registries.put(generation, loader.registry)
        self._answer_by(generation)

    def _begin(self, generation: int, before: Registry | None = None) -> Loader:
        plan, verdicts = self._generations.records.read(generation)
        settings = self._generations.settings
        execution = Execution(max_threads=settings.threads, same_bits=settings.same_bits)
        store = Store(settings.models_dir)
        loader = Loader(store, plan, verdicts, execution, first=settings.required, before=before)
        self._loaders[generation], self._newest = loader, generation
        return loader

    def _answer_by(self, generation: int) -> None:
        """Have its registry at hand, whatever there is of it, and then say so."""
        self._registries.put(generation, self._loaders[generation].registry)
        self._switch.answers_by(self._generations.slot, generation)

    def _seed_paces(self) -> None:
        for loader in self._loaders.values():
            for loaded, profile in loader.measured():
                self._on_loop(partial(loaded.pace.seed, profile))

    def _on_loop(self, work: Callable[[], None]) -> None:
        if not self._is_closed.is_set():
            self._loop.call_soon_threadsafe(work)


def _settle() -> None:
    """Give back what loading took, and let no collection walk through what stays."""
    memory.give_back()
    gc.freeze()


def _teller(
    before: Registry | None = None, then: Callable[[Registry], None] = lambda registry: None
) -> Callable[[Registry], None]:
    """Log what a registry has that the one before had not."""
    loaded = set(before.loaded if before else ())
    refused = {_key(one) for one in (before.refused if before else ())}

    def tell(registry: Registry) -> None:
        for one in registry.loaded:
            if one not in loaded:
                loaded.add(one)
                _log_loaded(one)
        for bad in registry.refused:
            if _key(bad) not in refused:
                refused.add(_key(bad))
                log.error("refused", name=bad.name, version=bad.version or "current", reason=bad.reason)
        then(registry)

    return tell


def _key(refused: Refused) -> tuple[str, str | None, str]:
    return refused.name, refused.version, refused.reason


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
