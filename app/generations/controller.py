"""Brings a server from one generation of models to the next, one change at a time, on a thread of its own.

    a change -> plan -> prove -> offer -> every process has loaded it beside what it has -> flip

All or nothing: where a model that was ready would be refused, or a process cannot load what was proven, or
not in time, nothing flips and what there is serves on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from app.generations.changes import Outcome, Reload
from app.generations.records import Records, RecordsInMemory
from app.proving import Plan, Round, kept_for, planned
from app.settings import Settings
from app.shared.audit import audit
from app.shared.listener import CannotServe
from app.shared.switch import Switch
from bundle import Store

FIRST = 1
TICK_S, POLL_S = 0.1, 0.005
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
        submit: asks for a change.
    """

    settings: Settings
    records: Records
    switch: Switch
    slot: int = 0
    settled: Callable[[int], None] = lambda generation: None
    submit: Callable[[Reload], Future[Outcome]] | None = None


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
        self._newest, self._settled, self._is_tidy = FIRST, 0, False
        records.settle(FIRST, plan)
        switch.offer(FIRST)
        switch.flip(FIRST)
        self._changes: queue.SimpleQueue[tuple[Reload, Future[Outcome]]] = queue.SimpleQueue()
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
        return Generations(
            self.settings, self._records, self._switch, settled=self._settle, submit=self.submit
        )

    def submit(self, change: Reload) -> Future[Outcome]:
        """Ask for a change; returns at once. Changes are made in the order they come."""
        future: Future[Outcome] = Future()
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
                self._tidy()
                if (every_s := self.settings.poll_s) and time.monotonic() - looked_s >= every_s:
                    looked_s = time.monotonic()
                    self._look()
                continue
            self._answer(change, future)

    def _answer(self, change: Reload, future: Future[Outcome]) -> None:
        try:
            future.set_result(self._apply(change))
        except Exception as error:  # it would be lost on this thread, and so would what comes after it
            log.error("bug", error=type(error).__name__, exc_info=True)
            future.set_exception(error)

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

    def _apply(self, change: Reload) -> Outcome:
        audit("models.reload", change.who)
        log.info("reloading", who=change.who)
        began_s = time.monotonic()
        self._wait_until(self._round.has_proven)
        self._stamp = self._store.stamp()
        reason: str | None
        try:
            _, plan = planned(self.settings, self._round.plan)
        except CannotServe as error:
            reason, refused = str(error), dict[str, str]()
        else:
            reason, refused = self._take(plan, rereads=change.rereads)
        done = Outcome(time.monotonic() - began_s, reason, refused)
        if reason is None:
            log.info("reloaded", models=len(plan.models), ms=round(1e3 * done.seconds))
        elif not self._is_closed.is_set():
            log.error(STAYS, reason=reason, refused=refused)
        return done

    def _take(self, plan: Plan, *, rereads: bool) -> tuple[str | None, dict[str, str]]:
        """Bring all processes to a plan; why that was not done, and the models that were refused."""
        self._newest += 1
        generation, before = self._newest, self._round
        found = Round.begin(
            self.settings,
            plan,
            self._records.begin(generation),
            self._kept,
            before=before.verdicts,
            rereads=rereads,
        )
        self._wait_until(found.has_proven)
        refused = found.refused_now(before)
        reason = "a model that is ready would be refused" if refused else self._switch_to(generation, plan)
        if reason is not None:
            found.close()
            self._records.forget(generation)
            return reason, refused
        self._round, self._is_tidy = found, False
        before.close()
        self._records.forget(generation - 2)  # the one before may be read by a process that just starts
        self._forget_unpublished(before.plan)
        return None, {}

    def _switch_to(self, generation: int, plan: Plan) -> str | None:
        """Let every process load it, and flip; why not, if not."""
        if self._is_closed.is_set():
            return "the server ends"
        self._records.settle(generation, plan)
        self._switch.offer(generation)
        if (reason := self._unloaded(generation)) is not None:
            self._switch.offer(self._switch.current)
            return reason
        self._switch.flip(generation)
        # One that began to take requests between the look and the flip is still to come.
        self._wait_until(lambda: not self._switch.waiting(generation))
        return None

    def _unloaded(self, generation: int) -> str | None:
        """Wait for every process that takes requests; why one has not loaded it, if not."""
        limit_s = LOADS_PER_PROOF * self.settings.proof_limit_s
        give_up_s = time.monotonic() + limit_s
        while self._switch.waiting(generation) and not self._switch.lacking(generation):
            if time.monotonic() > give_up_s:
                return f"not loaded by every process within {limit_s:g} s (ENCODERY_PROOF_LIMIT_S, twice)"
            if self._is_closed.wait(POLL_S):
                return "the server ends"
        if self._switch.lacking(generation):
            return "what was proven cannot be loaded; the lines before say why"
        return None

    def _forget_unpublished(self, before: Plan) -> None:
        if self._kept is not None:
            for one in before.versions():
                if one.version not in self._store.versions(one.name):
                    self._kept.forget(one)

    def _wait_until(self, is_so: Callable[[], bool]) -> None:
        while not (is_so() or self._is_closed.is_set()):
            time.sleep(POLL_S)


def alone(settings: Settings) -> Controller:
    """The controller of a process that serves alone. Raises CannotServe."""
    return Controller(settings, RecordsInMemory(), Switch.alone())
