"""Proves versions one after another in a child process, and says what came of each.

A bundle is somebody's file: reading it may panic, abort, need all memory or never end. Whatever it does, it
does it to the child (`app.process.prover`), within limits; then it is refused, and a new child goes on with
the rest. When all are proven, the child measures the pace of each, which nothing waits for.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.proving.kept import Kept
from app.proving.plan import Planned
from app.proving.verdicts import Verdict, Verdicts

WALL_PER_CPU = 2  # seconds by the clock for each of CPU time: others want the processor, too
LOW_PRIORITY, WALL_PER_LOW_CPU = 10, 20  # while somebody serves: of two that want a core it gets a tenth
BEGIN_S = 120.0  # for Python and its imports, on a machine that swaps
TRIES = 2  # of beginning
QUIET_S = 5.0  # after a switch, before a child takes a core to measure the pace
MOST_LINE_CHARS = 1 << 16


class _ChildFailedError(Exception):
    """The child died or was killed; the message ends a sentence about the version."""


class Prover:
    """A thread that brings every version of a plan to a verdict.

    Args:
        models_dir: where they are.
        planned: in this order.
        kept: proofs of earlier starts, and where those of this one go.
        verdicts: are told.
        threads: of a forward pass that has the machine to itself.
        limit_s: CPU time that one version may take.
        before: verdicts of the round before, of which the good ones hold for the same versions.
        rereads: files of versions with a good verdict, where there was a round before: somebody serves what
            that found, and is to be told of files that rotted. Otherwise whoever loads them notices.
    """

    def __init__(
        self,
        models_dir: Path,
        planned: Sequence[Planned],
        kept: Kept,
        verdicts: Verdicts,
        *,
        threads: int,
        limit_s: float,
        before: Verdicts | None = None,
        rereads: bool = True,
    ) -> None:
        self._before, self._rereads = before, rereads
        self._planned, self._kept, self._verdicts = planned, kept, verdicts
        self._models_dir, self._threads, self._limit_s = models_dir, threads, limit_s
        self._thread = threading.Thread(target=self._run, name="prover", daemon=True)
        self._has_proven, self._has_measured = threading.Event(), threading.Event()
        self._may_end = threading.Event()
        self._is_closed, self._lock = False, threading.Lock()
        self._child: _Child | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Give up what is left, and wait for the end of the child."""
        self._may_end.set()
        with self._lock:  # or a child could begin after it was looked for
            self._is_closed = True
            if self._child is not None:
                self._child.kill()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def has_proven(self) -> bool:
        """Every version has its verdict."""
        return self._has_proven.is_set()

    @property
    def has_measured(self) -> bool:
        """The pace of each is known, or cannot be: nothing more will come."""
        return self._has_measured.is_set()

    def _run(self) -> None:
        try:
            rest = [one for one in self._planned if not self._is_known(one)]
            for one in rest:
                if not self._is_closed:
                    self._verdicts.put(one.digest, self._prove(one))
            self._has_proven.set()
            if self._before is not None:  # somebody serves, and may go on to the next version at once
                self._may_end.wait(QUIET_S)
            for one in self._planned:
                if not self._is_closed:
                    self._measure(one)
        finally:
            if self._child is not None:
                self._child.kill()
            for one in self._planned:  # nobody is to wait for a thread that ended
                if self._verdicts.get(one.digest) is None:
                    self._verdicts.put(one.digest, Verdict("could not be proven: the prover ended early"))
            self._has_proven.set()
            self._has_measured.set()

    def _is_known(self, one: Planned) -> bool:
        known = self._before.get(one.digest) if self._before else None
        if known is None or known.reason is not None:
            known = self._kept.find(one)
        if known is None:
            return False
        if self._before is not None and self._rereads and (reason := self._damage(one)):
            known = Verdict(reason)
        self._verdicts.put(one.digest, known)
        return True

    def _damage(self, one: Planned) -> str | None:
        """Why the files are not those that were proven; a digest of the manifest says nothing of them.

        The child reads them: a process that serves would keep the memory for it.
        """
        try:
            reason: str | None = self._ask("read", one, None).get("reason")
        except _ChildFailedError as error:
            return f"reading it again {error}"
        return reason

    def _prove(self, one: Planned) -> Verdict:
        started_s, work = time.monotonic(), self._kept.begin()
        try:
            answer = self._ask("prove", one, work)
        except _ChildFailedError as error:
            answer = {"reason": f"its proof {error}"}
        prove_s = time.monotonic() - started_s
        if reason := answer.get("reason"):
            self._kept.drop(work)
            return Verdict(str(reason), prove_s=prove_s)
        return self._kept.keep(one, work, Verdict(prove_s=prove_s))

    def _measure(self, one: Planned) -> None:
        verdict = self._verdicts.get(one.digest)
        if verdict is None or verdict.reason is not None or verdict.pace is not None:
            return
        try:
            pace = self._ask("measure", one, verdict.weights).get("pace", {})
        except _ChildFailedError:
            pace = {}
        if self._verdicts.get(one.digest) != verdict:  # it was lost meanwhile
            return
        verdict = replace(verdict, pace=pace)
        self._verdicts.put(one.digest, verdict)
        if pace:
            self._kept.update(one, verdict)

    def _ask(self, what: str, one: Planned, weights: Path | None) -> dict[str, Any]:
        """What the child answers. Raises _ChildFailedError."""
        job = {
            "do": what,
            "models_dir": str(self._models_dir),
            "name": one.name,
            "version": one.version,
            "digest": one.digest,
            "size": one.size,
            "weights": str(weights) if weights else None,
            "threads": self._threads,
            "limit_s": self._limit_s,
        }
        for _ in range(TRIES):
            child = self._living_child()
            if child.begins(job):
                return child.answer(self._limit_s)
        raise _ChildFailedError("could not begin: the process for it does not start")

    def _living_child(self) -> _Child:
        with self._lock:
            if self._is_closed:
                raise _ChildFailedError("was given up: the server ends")
            if self._child is None or self._child.is_dead:
                self._child = _Child(is_low=self._before is not None)
            return self._child


class _Child:
    """The process, which answers a line with a line.

    Args:
        is_low: whoever else wants a core comes first; requests are served meanwhile.
    """

    def __init__(self, *, is_low: bool) -> None:
        self._wall_per_cpu = WALL_PER_LOW_CPU if is_low else WALL_PER_CPU
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.process.prover"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # panics write there; the verdict says it in our words
                text=True,
                process_group=None if sys.platform == "win32" else 0,  # a terminal's Ctrl+C is not for it
            )
        except OSError as error:
            raise _ChildFailedError(f"could not begin: {error.strerror}") from None
        if is_low and sys.platform != "win32":
            with suppress(OSError):  # it has ended; the reader tells
                os.setpriority(os.PRIO_PROCESS, self._process.pid, LOW_PRIORITY)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="prover's answers", daemon=True).start()

    @property
    def is_dead(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):  # what it did not read any more
            self._process.stdin.close()

    def begins(self, job: dict[str, Any]) -> bool:
        """Give it a job; False if it died before it took that up, which is not the bundle's fault."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it is dead; the reader tells
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
        if self._line(BEGIN_S):
            return True
        self.kill()
        return False

    def answer(self, limit_s: float) -> dict[str, Any]:
        """What came of the job. Raises _ChildFailedError."""
        wall_s = self._wall_per_cpu * limit_s
        line = self._line(wall_s)
        if line is None:
            self.kill()
            raise _ChildFailedError(
                f"did not end within {wall_s:g} s; if it needs longer, raise ENCODERY_PROOF_LIMIT_S"
            )
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:  # no line, or half of one
            self.kill()
            raise _ChildFailedError(_end_of(self._process.returncode, limit_s)) from None
        if answer.get("ends"):
            self.kill()
        return answer

    def _line(self, wait_s: float) -> str | None:
        """Its next line; empty if it ended, None if it does not come."""
        try:
            return self._lines.get(timeout=wait_s)
        except queue.Empty:
            return None

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            while line := answers.readline(MOST_LINE_CHARS):
                self._lines.put(line)
        self._process.wait()
        self._lines.put("")


def _end_of(status: int, limit_s: float) -> str:
    """How a child ended, as the end of a sentence."""
    if status >= 0:
        return f"ended the process that ran it, with status {status}"
    if sys.platform != "win32" and -status == signal.SIGXCPU:
        return f"took more than {limit_s:g} s of CPU time; if it needs more, raise ENCODERY_PROOF_LIMIT_S"
    if sys.platform != "win32" and -status == signal.SIGKILL:
        return "was killed by the system, most likely for want of memory"
    return f"ended the process that ran it: {signal.Signals(-status).name}"
