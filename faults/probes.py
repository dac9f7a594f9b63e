"""Asks the health routes again and again, as an orchestrator does: each time on a new connection."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

PERIOD_S, TIMEOUT_S = 0.05, 5.0
PATHS = ("/health/live", "/health/ready")


@dataclass
class Probes:
    """What came back.

    Attributes:
        took_s: of each probe that was answered with 200.
        failures: what the others got, a status or an error.
        failed_s: when the first of these came, on the clock of `time.monotonic`.
    """

    port: int
    paths: Sequence[str] = PATHS
    timeout_s: float = TIMEOUT_S
    took_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    failed_s: float | None = None

    @property
    def p99_ms(self) -> float:
        """Of those with 200."""
        ordered = sorted(self.took_s)
        return 1e3 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else float("nan")

    def ask(self, path: str) -> None:
        """Probe once."""
        started_s = time.monotonic()
        found = asked(self.port, path, self.timeout_s)
        if found == "200":
            self.took_s.append(time.monotonic() - started_s)
            return
        self.failures.append(found)
        self.failed_s = self.failed_s or time.monotonic()


def asked(port: int, path: str, timeout_s: float = TIMEOUT_S) -> str:
    """Return the status, or what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@contextmanager
def probing(port: int, *paths: str, timeout_s: float = TIMEOUT_S) -> Iterator[Probes]:
    """Probe on a thread until the block ends."""
    probes, is_over = Probes(port, paths or PATHS, timeout_s), threading.Event()

    def run() -> None:
        for path in cycle(probes.paths):
            probes.ask(path)
            if is_over.wait(PERIOD_S):
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield probes
    finally:
        is_over.set()
        thread.join()
