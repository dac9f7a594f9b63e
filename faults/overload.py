"""Offers a server more than it can do, and counts what it still does.

The server has a core of its own, and so has the load, where the machine has two: what the load uses is not
the server's loss. The peak is that of a closed loop, measured in the same run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import texts
from bench.load import Load
from bench.measure import measured
from bench.servers import Running, ours, running
from faults.probes import Probes, probing

COUNT = 1024  # texts, sent in turn
CALLERS = (8, 32, 128)  # of the closed loops; the best is the peak
TEXTS = {"text": 32, "text-small": 1}  # of a request: so that ten times the peak can be sent from one core
REFUSALS = {"429", "503"}


@dataclass(frozen=True)
class Target:
    """What is asked of a server at a multiple of its peak."""

    goodput: float
    refusals_ms: float


TARGETS = {2: Target(0.95, 10.0), 5: Target(0.95, 50.0), 10: Target(0.90, 100.0)}
PROBES_MS = 80.0


@dataclass(frozen=True)
class Overload:
    """What a server did at some rate.

    Attributes:
        found: of `bench.measure.measured`.
    """

    found: dict[str, Any]
    probes: Probes
    deadline_ms: float

    @property
    def goodput(self) -> float:
        """Requests per second that were answered with 200 within the time and the deadline."""
        return float(self.found["per_s"])

    @property
    def errors(self) -> int:
        """Requests that got anything but 200, 429 or 503, or nothing."""
        statuses = self.found["statuses"]
        wrong = sum(count for status, count in statuses.items() if status != "200" and status not in REFUSALS)
        return int(wrong + self.found["broken"] + self.found["late"])

    @property
    def expired(self) -> int:
        """Those that were accepted and got 504."""
        return int(self.found["statuses"].get("504", 0))


@dataclass(frozen=True)
class Model:
    """One of the bundled encoders, and requests to it that a client waits for no longer than so long."""

    name: str
    deadline_s: float

    def load(self, server: Running, **how: Any) -> Load:
        """Make a load of its requests."""
        bodies = texts.bodies(texts.texts(COUNT), TEXTS[self.name], model=self.name, encoding="base64")
        headers = [f"X-Request-Timeout-Ms: {1e3 * self.deadline_s:.0f}"]
        return Load(
            "127.0.0.1", server.port, "/encode", bodies, headers=headers, deadline_s=self.deadline_s, **how
        )

    def peak(self, server: Running, seconds: float, callers: Sequence[int] = CALLERS) -> float:
        """Requests per second of the best closed loop."""
        return max(
            float(measured(self.load(server, callers=one, seconds=seconds), server)["per_s"])
            for one in callers
        )

    def overload(self, server: Running, rate: float, seconds: float, warm_s: float = 1.0) -> Overload:
        """Offer so many requests per second, and probe meanwhile."""
        with probing(server.port) as probes:
            found = measured(self.load(server, rate=rate, seconds=seconds, warm_s=warm_s), server)
        return Overload(found, probes, 1e3 * self.deadline_s)


@contextmanager
def pinned(which: int) -> Iterator[None]:
    """Keep what this thread starts on one core, counted from the first."""
    before = os.sched_getaffinity(0)
    cores = sorted(before)
    os.sched_setaffinity(0, {cores[which % len(cores)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def overloaded(models: Path, default: str, log: Path) -> Iterator[Running]:
    """Run a server on the first core; what the block starts runs on the second."""
    ours_with_it = replace(ours(models), variables={"ENCODERY_DEFAULT_MODEL": default})
    with ExitStack() as stack:
        with pinned(0):
            started = stack.enter_context(running(ours_with_it, log))
        with pinned(1):
            yield started
