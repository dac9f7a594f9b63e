"""Keeps several server processes on one socket: starts them, replaces those that die or hang, drains them.

    SIGHUP            let all read their files again, and switch to the models that are current now
    SIGTERM, SIGINT   let all finish what they accepted, then end; a second time, end now

The processes inherit one bound socket, so what waits to be accepted belongs to all, and none of it is lost
when one leaves. Which versions they serve is decided here, once for all (`app.generations`), so one that
takes a dead one's place serves the same. uvicorn has a supervisor too; docs/decisions/0010 says why it is
not this one. Loads no server, and knows of one no more than its signals and its slot on the scoreboard.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from app.generations import Controller, RecordFiles, Reload
from app.generations.control import controlled
from app.settings import Settings
from app.shared import metrics as shared_metrics
from app.shared import unmet
from app.shared.listener import CannotServe
from app.shared.scoreboard import Field, Scoreboard

TICK_S = 0.1
BACKOFF_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # before a start, by how many died in a row
STEADY_S = 1.0  # a process that served this long does not count as one in a row
BEGIN_S = 120.0  # for Python, its imports and the socket, on a machine that swaps
SLACK_S = 10.0  # over the time that a process may take to end, before it is killed
IN_MEMORY = Path("/dev/shm")  # noqa: S108  # a private directory is made in it

log = structlog.get_logger("encodery")


class Process(Protocol):
    """What is used of `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """The exit status, if it ended."""
        ...

    def send_signal(self, number: int) -> None:
        """Send it."""
        ...


@dataclass(eq=False)
class Worker:
    """One server process.

    Attributes:
        served_s: when it was first seen to take requests.
        leaves_by_s: it was told to end, and is killed at that time.
    """

    process: Process
    slot: int
    started_s: float
    served_s: float | None = None
    leaves_by_s: float | None = None


class Supervisor:
    """Brings the processes that there are to those that there should be, step by step; never waits.

    Args:
        start: starts a process in a slot.
        scoreboard: has a slot for each.
        settings: how many, and how long they may hang or take to end.
        clock: seconds; monotonic.
    """

    def __init__(
        self,
        start: Callable[[int], Process],
        scoreboard: Scoreboard,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start, self._scoreboard, self._clock = start, scoreboard, clock
        self._wanted, self._stall_limit_s = settings.workers, settings.stall_limit_s
        self._end_s = settings.drain_delay_s + settings.shutdown_grace_s + SLACK_S
        self._workers: list[Worker] = []
        self._deaths = 0
        self._not_before_s = 0.0
        self._stepped_s = self._awake_since_s = clock()
        self._is_stopping = self._is_complete = self._has_served = False
        self.status = 0

    @property
    def is_done(self) -> bool:
        """All have ended, as they were told to, or none ever came to serve."""
        return self._is_stopping and not self._workers

    def hang_up(self) -> None:
        """Let all read their files again; one that has not begun yet will anyway, and would die of it."""
        for worker in self._staying:
            if self._scoreboard.has_begun(worker.slot):
                worker.process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Let all finish; the second time, do not wait for that."""
        if self._is_stopping:
            for worker in self._workers:
                worker.leaves_by_s = self._clock()
            return
        self._is_stopping = True
        for worker in self._staying:
            self._tell(worker, signal.SIGTERM)

    def step(self) -> None:
        """Do what is to be done now."""
        self._look_at_clock()
        for worker in list(self._workers):
            if worker.served_s is None and self._is_serving(worker):
                worker.served_s = self._clock()
            if (status := worker.process.poll()) is not None:
                self._ended(worker, status)
            elif self._is_overdue(worker):
                log.error("worker hangs, killed", worker=worker.slot)
                worker.process.send_signal(signal.SIGKILL)
        if not self._is_stopping:
            self._fill()

    @property
    def _staying(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.leaves_by_s is None]

    def _fill(self) -> None:
        """Start as many as are missing."""
        while len(self._workers) < self._wanted:
            if not self._begin():
                return
        if not self._is_complete and all(self._is_serving(worker) for worker in self._workers):
            self._is_complete = True
            log.info("all workers serve", workers=self._wanted)

    def _begin(self) -> bool:
        """Start one, if it is time."""
        if self._clock() < self._not_before_s:
            return False
        self._is_complete = False
        used = {worker.slot for worker in self._workers}
        slot = next(slot for slot in range(len(self._scoreboard)) if slot not in used)
        self._workers.append(Worker(self._start(slot), slot, self._clock()))
        return True

    def _is_serving(self, worker: Worker) -> bool:
        is_serving = self._scoreboard.is_serving(worker.slot)
        self._has_served |= is_serving
        return is_serving

    def _tell(self, worker: Worker, number: int) -> None:
        worker.leaves_by_s = self._clock() + self._end_s
        worker.process.send_signal(number)

    def _is_overdue(self, worker: Worker) -> bool:
        if worker.leaves_by_s is not None:
            return self._clock() >= worker.leaves_by_s
        if not self._scoreboard.has_begun(worker.slot):
            return self._clock() - max(worker.started_s, self._awake_since_s) > BEGIN_S
        awake_s = self._clock() - self._awake_since_s
        return min(self._scoreboard.silent_s(worker.slot), awake_s) > self._stall_limit_s

    def _look_at_clock(self) -> None:
        """Know a pause of all, as of a container, whose silence is nobody's fault."""
        now_s = self._clock()
        if now_s - self._stepped_s > self._stall_limit_s / 2:
            self._awake_since_s = now_s
        self._stepped_s = now_s

    def _ended(self, worker: Worker, status: int) -> None:
        served = self._is_serving(worker)
        self._workers.remove(worker)
        self._scoreboard.clear(worker.slot)
        shared_metrics.forget(self._scoreboard.directory, worker.slot)
        if worker.leaves_by_s is not None:
            self.status = self.status or int(served and status != 0)
            return
        log.error("worker ended", worker=worker.slot, pid=worker.process.pid, status=status)
        deaths = self._scoreboard.get(worker.slot, Field.DEATHS)
        self._scoreboard.set(worker.slot, Field.DEATHS, deaths + 1)
        was_steady = worker.served_s is not None and self._clock() - worker.served_s >= STEADY_S
        self._deaths = 1 if was_steady else self._deaths + 1
        self._not_before_s = self._clock() + BACKOFF_S[min(self._deaths, len(BACKOFF_S)) - 1]
        if not self._has_served:
            self._is_stopping, self.status = True, 1


def supervise(settings: Settings, listener: socket.socket, found: Sequence[unmet.Unmet] = ()) -> None:
    """Run `settings.workers` server processes until SIGTERM or SIGINT, then end with their status.

    Args:
        settings: of all.
        listener: bound.
        found: what was asked for and could not be had, which each process tells.

    Raises:
        CannotServe: none could start; its own last words say why.
    """
    if os.name == "nt":
        raise CannotServe("Several workers need a POSIX system; set ENCODERY_WORKERS to 1.")
    gc.enable()  # what was put off for the start
    in_memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="encodery-", dir=in_memory) as name, _signals() as wake:
        directory = Path(name)
        scoreboard = Scoreboard(directory, settings.workers)
        unmet.write(found, directory)
        with (
            Controller(settings, RecordFiles(directory), scoreboard.switch, is_shared=True) as controller,
            controlled(controller, directory),
        ):
            start = _starter(controller.settings, listener, scoreboard)
            _run(Supervisor(start, scoreboard, settings), controller, listener, wake)


def _run(
    supervisor: Supervisor, controller: Controller, listener: socket.socket, wake: Callable[[float], bytes]
) -> None:
    """Step and listen to signals until the end. Raises CannotServe if that was no good one."""
    while not supervisor.is_done:
        supervisor.step()
        for number in wake(TICK_S):
            if number == signal.SIGHUP:
                supervisor.hang_up()
                controller.submit(Reload("SIGHUP"))
            elif number in (signal.SIGTERM, signal.SIGINT):
                listener.close()  # or connections would be taken that nobody answers
                supervisor.stop()
    if supervisor.status:
        raise CannotServe("The workers did not end well; the log says why.")


def _starter(settings: Settings, listener: socket.socket, scoreboard: Scoreboard) -> Callable[[int], Process]:
    environment = os.environ | settings.environment()
    descriptor = listener.fileno()
    address = [] if settings.socket else ["--host", settings.host]

    def start(slot: int) -> Process:
        place = ["--listener", str(descriptor), "--shared", str(scoreboard.directory), "--slot", str(slot)]
        place += ["--supervisor", str(os.getpid()), *address]
        return subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-P", "-m", "app.process.worker", *place],
            env=environment,
            pass_fds=[descriptor],
            process_group=0,  # a terminal's Ctrl+C is for the supervisor, which passes it on
        )

    return start


@contextmanager
def _signals() -> Iterator[Callable[[float], bytes]]:
    """`wake(seconds)` waits for signals, at most so long, and gives their numbers."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(writing.fileno())

    def wake(seconds: float) -> bytes:
        ready, _, _ = select.select([reading], [], [], seconds)
        return reading.recv(64) if ready else b""

    try:
        yield wake
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        reading.close()
        writing.close()
