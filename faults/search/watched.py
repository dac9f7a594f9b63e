"""The real server in a process of its own, which tells how long a request held its loop, and what it took.

    python -m faults.search.watched MODELS     writes {"url": ..}; then a line for each line it reads

A stall is the time in which the loop did not turn, less the time in which its thread was ready to run and the
machine had no core for it, and no more than the CPU time that the process used meanwhile: so a thread that
keeps Python's lock counts, and what a busy machine takes from all does not.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.engine import load_registry
from app.main import create_app
from app.process.server import run
from app.settings import settings_from
from app.shared.log import set_up_log
from app.shared.scratch import scratch
from bundle import Execution, Store, memory

ROOT = Path(__file__).parents[2]
TICK_S = 0.001


@dataclass
class Watch:
    """What happened since `begin`.

    Attributes:
        stall_s: the longest.
        own_s: the most CPU time of the loop's own thread between two turns.
    """

    stall_s: float = 0.0
    own_s: float = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        with Path("/proc/thread-self/schedstat").open("rb") as file:
            while True:
                before, waited = _now(), _waited_s(file.fileno())
                await asyncio.sleep(TICK_S)
                wall_s, cpu_s, own_s = (new - old for new, old in zip(_now(), before, strict=True))
                off_s = _waited_s(file.fileno()) - waited
                self.stall_s = max(self.stall_s, min(wall_s - off_s - TICK_S, cpu_s))
                self.own_s = max(self.own_s, own_s)


def _now() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), time.thread_time()


def _waited_s(file: int) -> float:
    """Seconds that this thread has been ready to run without running."""
    return int(os.pread(file, 64, 0).split()[1]) / 1e9


def _status_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def _serve(models: Path) -> None:
    set_up_log("json", "error")
    settings = settings_from(models_dir=models)
    memory.keep_freed()
    with scratch() as directory:
        execution = Execution(max_threads=settings.threads, weights=directory)
        registry = load_registry(
            Store(models), versions_per_model=settings.versions_per_model, execution=execution
        )
        app = create_app(settings, registry)
    memory.give_back()
    watch, lifespan = Watch(), app.router.lifespan_context

    @asynccontextmanager
    async def watched(of: Any) -> AsyncIterator[None]:
        async with lifespan(of):
            task = asyncio.create_task(watch.run())
            yield
            task.cancel()

    app.router.lifespan_context = watched
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    threading.Thread(target=_tell, args=[watch], daemon=True).start()
    run(app, settings, listener)


def _tell(watch: Watch) -> None:
    """Answer each line: what happened since the one before, and start anew."""
    base_mib = 0.0
    for _ in sys.stdin:
        found = {
            "stall_ms": round(1e3 * watch.stall_s, 1),
            "own_ms": round(1e3 * watch.own_s, 1),
            "grown_mib": round(_status_mib("VmHWM") - base_mib, 1),
            "resident_mib": round(_status_mib("VmRSS"), 1),
        }
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        base_mib = _status_mib("VmRSS")
        watch.stall_s = watch.own_s = 0.0
        print(json.dumps(found), flush=True)
    os._exit(0)


class Watched:
    """The parent's end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url: str = self._line()["url"]

    def told(self) -> dict[str, float]:
        """What happened since the last time."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        found: dict[str, float] = self._line()
        return found

    def _line(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline() or '{"error": "ended"}')


@contextmanager
def watched(models: Path, **variables: str) -> Iterator[Watched]:
    """A server that is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "faults.search.watched", str(models)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("ENCODERY_")}
        | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Watched(process)
    finally:
        with suppress(OSError):
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe
            pipe.close()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
