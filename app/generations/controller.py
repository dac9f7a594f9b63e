"""Brings a server from one generation of models to the next, one change at a time, on a thread of its own.

    a change -> plan -> prove -> offer -> every process has loaded it beside what it has -> flip

All or nothing: where a model that was ready would be refused, or a process cannot load what was proven, or
not in time, nothing flips and what there is serves on.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from app.generations.changes import (
    AnyChange,
    ChangeRefusedError,
    Load,
    Outcome,
    Reload,
    SetAlias,
    Unload,
)
from app.generations.records import Records, RecordsInMemory
from app.generations.rollout import (
    alias_files,
    check_alias,
    group_of,
    record_refusal,
    with_loaded,
    with_unloaded,
    without_unloaded,
    write_alias,
)
from app.proving import NO_WISHES, Plan, Round, Wishes, kept_for, planned
from app.settings import Settings
from app.shared.audit import audit
from app.shared.listener import CannotServe
from app.shared.switch import Switch
from bundle import Store

FIRST = 1
TICK_S, POLL_S, SHORTEST_S = 0.1, 0.02, 0.0005
KEPT_RECORDS = 3  # of generations that nobody is to load any more
LOADS_PER_PROOF = 2  # seconds that a process may take to load, for each that one proof may
STAYS = "not reloaded: the models from before go on"
BY_POLL = "ENCODERY_POLL_S"

log = structlog.get_logger("encodery")


@dataclass(frozen=True)
class Generations:
    """The generations as a process that serves sees them.

    Attributes:
        settings: with the models that readiness needs and the default one, where nothing else says which.
        records: of what each is.
        switch: which one is current.
        slot: of this process on the switch.
        settled: is told of one that this process has loaded to the end.
        ask: asks for a change, and waits for what comes of it.
    """

    settings: Settings
    records: Records
    switch: Switch
    slot: int = 0
    settled: Callable[[int], None] = lambda generation: None
    ask: Callable[[AnyChange], Awaitable[Outcome]] | None = None


class Controller:
    """The generations of a server.

    Args:
        settings: name the models.
        records: where the processes find what a generation is.
        switch: by which they agree on one.
        is_shared: processes that start later need what was prepared, so it is kept to the end.

    Attributes:
        settings: as `Generations` has them.

    Raises:
        CannotServe: there is nothing to prove, or a model that was asked for is not there.
    """

    def __init__(
        self, settings: Settings, records: Records, switch: Switch, *, is_shared: bool = False
    ) -> None:
        self._records, self._switch = records, switch
        self._stack = ExitStack()
        self.settings, plan = planned(settings)
        self._kept = self._stack.enter_context(kept_for(settings)) if is_shared else None
        self._store, self._stamp = Store(settings.models_dir), Store(settings.models_dir).stamp()
        self._round = Round.begin(self.settings, plan, records.begin(FIRST), self._kept)
        self._wishes = NO_WISHES
        self._taken, self._left = FIRST, list[int]()
        self._newest, self._settled, self._is_tidy = FIRST, 0, False
        records.settle(FIRST, plan)
        switch.offer(FIRST)
        switch.flip(FIRST)
        self._changes: queue.SimpleQueue[tuple[AnyChange, Future[Outcome]]] = queue.SimpleQueue()
        self._waiting: dict[Reload, Future[Outcome]] = {}  # those that have not begun
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="generations", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closed.set()
        self._round.close()
        self._thread.join()
        self._stack.close()

    def seen(self) -> Generations:
        """What the process that this lives in needs to serve."""
        return Generations(self.settings, self._records, self._switch, settled=self._settle, ask=self.ask)

    async def ask(self, change: AnyChange) -> Outcome:
        """Ask for a change, and wait for what comes of it."""
        return await asyncio.wrap_future(self.submit(change))

    def submit(self, change: AnyChange) -> Future[Outcome]:
        """Ask for a change; returns at once. Changes are made in the order they come.

        A reload reads what is there when its turn comes, so one that waits does for whoever asks meanwhile.
        """
        with self._lock:
            if isinstance(change, Reload) and change in self._waiting:
                return self._waiting[change]
            future: Future[Outcome] = Future()
            if isinstance(change, Reload):
                self._waiting[change] = future
            self._changes.put((change, future))
            return future

    def _settle(self, generation: int) -> None:
        self._settled = generation

    def _run(self) -> None:
        looked_s = time.monotonic()
        while not self._is_closed.is_set():
            try:
                change, future = self._changes.get(timeout=TICK_S)
            except queue.Empty:
                looked_s = self._idle(looked_s)
                continue
            self._answer(change, future)

    def _idle(self, looked_s: float) -> float:
        """Do what nobody asks for; returns when the disk was looked at, by the clock."""
        try:
            self._tidy()
            if (every_s := self.settings.poll_s) and time.monotonic() - looked_s >= every_s:
                looked_s = time.monotonic()
                self._look()
        except OSError as error:  # a disk that is away must not end the thread that all changes wait for
            log.error("the models directory cannot be looked at", error=type(error).__name__)
        return looked_s

    def _answer(self, change: AnyChange, future: Future[Outcome]) -> None:
        began_s = time.monotonic()
        try:
            self._wait_until(self._round.has_proven)
            try:
                self._make(change, began_s)
                done = Outcome(time.monotonic() - began_s)
            except ChangeRefusedError as error:
                done = Outcome(time.monotonic() - began_s, error.code, str(error), error.refused)
            if not self._is_closed.is_set():
                _tell(change, done)
            future.set_result(done)
        except Exception as error:  # it would be lost on this thread, and so would what comes after it
            log.error("bug", error=type(error).__name__, exc_info=True)
            future.set_exception(error)

    def _make(self, change: AnyChange, began_s: float) -> None:
        match change:
            case Reload():
                self._reload(change)
            case Load():
                version, group = group_of(self._store, change.model, change.version)
                wishes = with_loaded(self._wishes, change, version, group)
                self._take(self._planned(wishes, group), needed=[(name, version) for name in group])
                self._wishes = wishes
            case Unload():
                _, group = group_of(self._store, change.model, change.version)
                required = list(self.settings.required)
                wishes = with_unloaded(self._wishes, change, self._round.plan, group, required)
                self._take(self._planned(wishes, group))
                self._wishes = wishes
            case SetAlias():
                self._set_alias(change, began_s)

    def _reload(self, change: Reload) -> None:
        with self._lock:
            self._waiting.pop(change, None)
        log.info("reloading", who=change.who)
        self._stamp = self._store.stamp()
        self._take(self._planned(self._wishes), rereads=change.rereads)

    def _set_alias(self, change: SetAlias, began_s: float) -> None:
        """Load what it is to stand for, which changes no answer; then change it on the disk, and follow.

        Other names stand for what they stood for, whatever the disk says of them by now, or the change would
        fail by what nobody asked for; and so a name whose file is broken can be set again.
        """
        _, group = group_of(self._store, change.model, next(iter(change.shares), None))
        with self._refusals_recorded(change, began_s):
            check_alias(self._store, change)
            needed = [(name, version) for name in group for version in change.shares]
            self._wishes = without_unloaded(self._wishes, needed)
            wishes = replace(self._wishes, loaded=self._wishes.loaded | set(needed))
            served = self._round.plan
            self._take(self._planned(wishes, group, served), needed=needed)
        write_alias(self._store.root, change, began_s)
        self._know(alias_files(self._store, group, change.alias))
        self._take(self._planned(self._wishes, group, served.with_alias(group, change.alias, change.shares)))

    def _know(self, files: Collection[Path]) -> None:
        """Know these files as they are now, but no others: they are no reason to reload."""
        now = self._store.stamp()
        others = {path: stamp for path, stamp in self._stamp.items() if path not in files}
        self._stamp = others | {path: stamp for path, stamp in now.items() if path in files}

    @contextmanager
    def _refusals_recorded(self, change: SetAlias, began_s: float) -> Iterator[None]:
        """Have the history tell of a change that could not be made, but not of who came too late."""
        try:
            yield
        except ChangeRefusedError as error:
            if error.code in ("not_sound", "space_change"):
                record_refusal(self._store, change, began_s, str(error))
            raise

    def _planned(self, wishes: Wishes, only: list[str] | None = None, names: Plan | None = None) -> Plan:
        try:
            return planned(self.settings, self._round.plan, wishes, only, names)[1]
        except CannotServe as error:
            raise ChangeRefusedError("not_sound", str(error)) from None

    def _look(self) -> None:
        """Reload if somebody has made another version current."""
        if self._store.stamp() != self._stamp:
            self._answer(Reload(BY_POLL, rereads=False), Future())

    def _tidy(self) -> None:
        """End the proving that nothing waits for any more, and what was prepared for this process alone."""
        is_loaded = self._kept is not None or self._settled == self._switch.current
        if not self._is_tidy and is_loaded and self._round.has_measured():
            self._is_tidy = True
            self._round.sweep()
            self._round.close()

    def _take(self, plan: Plan, *, rereads: bool = False, needed: Sequence[tuple[str, str]] = ()) -> None:
        """Bring all processes to a plan. Raises ChangeRefusedError where all stays as it was.

        Args:
            plan: what is to be served.
            rereads: files of versions that stay, too.
            needed: versions that must be proven, whoever names them.
        """
        before = self._round
        if plan == before.plan and not rereads and not any(before.faults(needed)):
            return
        self._newest += 1
        generation = self._newest
        found = Round.begin(
            self.settings,
            plan,
            self._records.begin(generation),
            self._kept,
            before=before.verdicts,
            rereads=rereads,
        )
        try:
            self._wait_until(found.has_proven)
            _check_sound(found, before, needed)
            self._switch_to(generation, found)
        except BaseException:
            found.close()
            self._outlive(generation)
            raise
        self._round, self._is_tidy = found, False
        before.close()
        self._outlive(self._taken)
        self._taken = generation
        self._forget_unpublished(before.plan)

    def _outlive(self, generation: int) -> None:
        """Forget a generation a while later: a process that is slow, or just starts, may be reading it."""
        self._left.append(generation)
        if len(self._left) > KEPT_RECORDS:
            self._records.forget(self._left.pop(0))

    def _switch_to(self, generation: int, found: Round) -> None:
        """Let every process load it, and flip. Raises ChangeRefusedError if one does not."""
        self._records.settle(generation, found.plan.settled(found.reason))
        proven = [(one.name, one.version) for one in found.plan.versions() if not found.reason(one.digest)]
        self._switch.offer(generation)
        try:
            self._wait_for_all(generation)
            if self._switch.lacking(generation):
                faults = dict(found.faults(proven))  # which the process that lacks it has noted
                told = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
                raise ChangeRefusedError("not_sound", told or "what was proven cannot be loaded", faults)
        except ChangeRefusedError:
            self._switch.offer(self._switch.current)
            raise
        self._switch.flip(generation)
        # One that began to take requests between the look and the flip is still to come.
        self._wait_until(lambda: not self._switch.waiting(generation))

    def _wait_for_all(self, generation: int) -> None:
        """Wait until every process that takes requests has it, or one lacks it. Raises ChangeRefusedError."""
        limit_s = LOADS_PER_PROOF * self.settings.proof_limit_s
        give_up_s, pauses = time.monotonic() + limit_s, _pauses()
        while self._switch.waiting(generation) and not self._switch.lacking(generation):
            if time.monotonic() > give_up_s:
                told = f"not loaded by every process within {limit_s:g} s (ENCODERY_PROOF_LIMIT_S, twice)"
                raise ChangeRefusedError("failed", told)
            if self._is_closed.wait(next(pauses)):
                break
        if self._is_closed.is_set():
            raise ChangeRefusedError("failed", "the server ends")

    def _forget_unpublished(self, before: Plan) -> None:
        if self._kept is not None:
            for one in before.versions():
                if one.version not in self._store.versions(one.name):
                    self._kept.forget(one)

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        pauses = _pauses()
        while not (is_so() or self._is_closed.is_set()):
            time.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """Seconds between looks: short ones first, since most of a rollback is done within milliseconds."""
    pause_s = SHORTEST_S
    while True:
        yield pause_s
        pause_s = min(POLL_S, 1.5 * pause_s)


def _check_sound(found: Round, before: Round, needed: Sequence[tuple[str, str]]) -> None:
    """Raise ChangeRefusedError where a name would lead to less than before, or a version is not sound."""
    if faults := dict(found.faults(needed)):
        told = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        raise ChangeRefusedError("not_sound", told, faults)
    if refused := found.refused_now(before):
        raise ChangeRefusedError("not_sound", "a model that is ready would be refused", refused)


def _tell(change: AnyChange, done: Outcome) -> None:
    """Say in the log and in the audit what came of it."""
    facts = {name: value for name, value in asdict(change).items() if name not in ("who", "does")}
    told = {} if done.reason is None else {"reason": done.reason}
    audit(f"models.{change.does}", change.who, **facts, outcome=done.code, **told)
    ms = round(1e3 * done.seconds)
    if done.reason is None:
        log.info("reloaded" if isinstance(change, Reload) else "changed", does=change.does, ms=ms, **facts)
    elif isinstance(change, Reload):
        log.error(STAYS, reason=done.reason, refused=done.refused)
    else:
        log.warning("not changed", does=change.does, ms=ms, **facts, **told)


def alone(settings: Settings) -> Controller:
    """The controller of a process that serves alone. Raises CannotServe."""
    return Controller(settings, RecordsInMemory(), Switch.alone())
