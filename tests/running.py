"""The real server as a process of its own, for tests: its log is read as it comes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BY_DEFAULT = {"ENCODERY_LISTEN_PORT": "0", "ENCODERY_LOG_FORMAT": "json", "PYTHONWARNINGS": "error"}
START_S, STOP_S = 180.0, 90.0  # a busy machine is slow, not wrong


class Server:
    """`python -m encodery serve` on a free port; its log is read as it comes."""

    def __init__(self, models: Path, command: Sequence[str] = (), cwd: Path = ROOT, **variables: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ENCODERY_")}
        self.process = subprocess.Popen(
            [
                sys.executable,
                *(command or ["-m", "encodery", "serve", "--models-dir", str(models)]),
            ],
            cwd=cwd,
            env=environment | BY_DEFAULT | variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(json.loads(line) if line.startswith("{") else {"event": line})

    def logged(self, event: str, times: int = 1) -> dict[str, Any]:
        """Wait for a line of the log, or for the last of several."""
        give_up_s = time.monotonic() + START_S
        while time.monotonic() < give_up_s and self.process.poll() is None:
            lines = [line for line in list(self.log) if line["event"] == event]
            if len(lines) >= times:
                return lines[times - 1]
            time.sleep(0.02)
        raise AssertionError(f"never logged {event}: {self.log}")

    def wait(self) -> int:
        status = self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        assert self.process.stderr
        if not self._reader.is_alive():  # a child of a killed server may hold the pipe; closing would wait
            self.process.stderr.close()
        return status


def until(is_so: Callable[[], bool]) -> None:
    """Wait for it, on a slow machine as well."""
    give_up_s = time.monotonic() + START_S
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.005)


async def until_async(is_so: Callable[[], bool]) -> None:
    """The same, for a server on this event loop."""
    async with asyncio.timeout(START_S):
        while not is_so():
            await asyncio.sleep(0.005)


@contextmanager
def serving(models: Path, **variables: str) -> Iterator[str]:
    """The base URL of a server that is ready."""
    with server(models, **variables) as running:
        yield running.logged("ready")["url"]


@contextmanager
def server(models: Path, command: Sequence[str] = (), cwd: Path = ROOT, **variables: str) -> Iterator[Server]:
    running = Server(models, command, cwd, **variables)
    try:
        yield running
    finally:
        running.process.kill()
        running.wait()
