"""What a running server says of its own work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
from running import START_S


def metric(url: str, name: str) -> float:
    """The sum of the series with that name."""
    with httpx.Client(base_url=url, trust_env=False, timeout=START_S) as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def rows_run(url: str) -> float:
    """Rows of all forward passes that ended so far."""
    return metric(url, "encodery_batch_rows_sum")


def in_work(url: str) -> int:
    """Inputs prepared, waiting or running."""
    with httpx.Client(base_url=url, trust_env=False, timeout=START_S) as client:
        return int(client.get("/health").json()["queue"]["items_in_work"])


def until(is_so: Callable[[], bool], most_s: float = START_S) -> float:
    """Wait for it; how long that took."""
    started_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - started_s < most_s, f"not within {most_s:.0f} s"
        time.sleep(0.02)
    return time.monotonic() - started_s


def open_files(pid: int) -> int:
    """Descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """Threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def children(pid: int) -> list[int]:
    """The processes under it."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
