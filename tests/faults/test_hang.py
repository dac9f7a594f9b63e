"""F12: a forward pass that never ends is noticed, and the others are served."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from counting import children, metric, until
from running import Server, server
from slow import HANG, publish_slow

from faults.figures import is_long
from faults.probes import asked

TIMEOUT_S = 1.0  # of a request, by the server; what a client waits is more
PATIENCE_S = 3.0
PAUSE_S = 0.05
CALLERS = 16  # that all of them are with the hung worker when it is killed is no matter of chance
LONG = pytest.mark.skipif(not is_long(), reason="only in the long form: python3 dev.py faults")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its passes are as short as those that run on the event loop, where none could be given up."""
    return publish_slow(tmp_path_factory.mktemp("slow"), trips=1)


@contextmanager
def asking(url: str) -> Iterator[list[tuple[float, str]]]:
    """Ask on new connections until the block ends: when, and what came back."""
    seen: list[tuple[float, str]] = []
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(PAUSE_S):
            started_s = time.monotonic()
            seen.append((started_s, ask(url, "hello world")))

    threads = [threading.Thread(target=run) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def ask(url: str, text: str) -> str:
    try:
        answer = httpx.post(f"{url}/encode", json={"inputs": text}, trust_env=False, timeout=PATIENCE_S)
    except httpx.TransportError as error:
        return type(error).__name__
    return str(answer.status_code)


def is_noticed(running: Server, port: int) -> bool:
    """The probe says so, or the process is being replaced."""
    is_killed = any(line["event"] == "worker hangs, killed" for line in list(running.log))
    return is_killed or asked(port, "/health/live", timeout_s=1.0) != "200"


@pytest.mark.parametrize(
    ("workers", "threads"), [pytest.param(1, 1, marks=LONG), (1, 2), (2, 1), pytest.param(2, 2, marks=LONG)]
)
def test_a_hang_is_noticed_and_the_others_are_served(
    slow: Path, workers: int, threads: int, effort: Callable[..., Any], figure: Any
) -> None:
    limit = effort({"ENCODERY_STALL_LIMIT_S": "1"}, {})
    variables = {"ENCODERY_WORKERS": str(workers), "ENCODERY_THREADS": str(threads)}
    name = f"{workers} worker{'s' * (workers > 1)}, {threads} thread{'s' * (threads > 1)}"
    with (
        ThreadPoolExecutor() as aside,
        server(slow, ENCODERY_REQUEST_TIMEOUT_S=str(TIMEOUT_S), **variables, **limit) as running,
    ):
        if workers > 1:
            running.logged("all workers serve")
        url = running.logged("ready")["url"]
        port = httpx.URL(url).port
        assert port
        with asking(url) as seen:
            time.sleep(0.5)
            hung_s = time.monotonic()
            hanging = aside.submit(ask, url, HANG)
            until(lambda: is_noticed(running, port), 60)
            noticed_s = time.monotonic()
            if workers > 1:
                until(lambda: metric(url, "encodery_workers") == workers)
                time.sleep(1.0)
        meanwhile = [answer for at_s, answer in seen if hung_s + 0.1 <= at_s < noticed_s]

    served = meanwhile.count("200") / max(1, len(meanwhile))
    figure("F12", f"{name}: noticed after", noticed_s - hung_s, at_most=10.5, unit="s")
    figure("F12", f"{name}: served meanwhile", served, **SERVED[workers, threads])
    assert hanging.result() != "200"
    assert noticed_s - hung_s < effort(10, 45)
    if workers > 1:
        assert "200" in meanwhile
        assert [answer for _, answer in seen][-1] == "200"


def test_a_worker_that_stands_still_is_replaced_and_the_others_serve(
    slow: Path, effort: Callable[..., Any], figure: Any
) -> None:
    """Stopped, as it would be by native code that keeps Python's lock: no thread of it runs."""
    limit = effort({"ENCODERY_STALL_LIMIT_S": "1"}, {})
    with server(slow, ENCODERY_WORKERS="2", **limit) as running:
        running.logged("all workers serve")
        url = running.logged("ready")["url"]
        with asking(url) as seen:
            time.sleep(0.5)
            stopped = children(running.process.pid)[0]
            os.kill(stopped, signal.SIGSTOP)
            stopped_s = time.monotonic()
            running.logged("worker hangs, killed")
            noticed_s = time.monotonic()
            running.logged("all workers serve", times=2)
            back_s = time.monotonic()
            time.sleep(1.0)

    after = [answer for at_s, answer in seen if at_s > back_s]
    figure("F12", "a stopped worker: killed after", noticed_s - stopped_s, at_most=10.5, unit="s")
    figure("F12", "a stopped worker: replaced after", back_s - stopped_s, unit="s")
    assert noticed_s - stopped_s < effort(10, 45)
    assert "200" in [answer for at_s, answer in seen if stopped_s <= at_s < noticed_s]
    assert set(after) == {"200"}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_process_alone_ends_itself(
    slow: Path, threads: int, effort: Callable[..., Any], figure: Any
) -> None:
    """So that compose, systemd or Kubernetes start it again: without a supervisor nobody else does."""
    limit = effort({"ENCODERY_STALL_LIMIT_S": "1"}, {})
    variables = {"ENCODERY_THREADS": str(threads), "ENCODERY_REQUEST_TIMEOUT_S": str(TIMEOUT_S)}
    with ThreadPoolExecutor() as aside, server(slow, **variables, **limit) as running:
        url = running.logged("ready")["url"]
        hung_s = time.monotonic()
        hanging = aside.submit(ask, url, HANG)
        assert running.wait() == 1
        ended_s = time.monotonic() - hung_s

    figure("F12", f"a process alone, {threads} threads: ends itself after", ended_s, at_most=15, unit="s")
    assert hanging.result() != "200"
    why = (
        "a forward pass hangs",
        "the event loop stands still",
    )  # where it was known to be short, and inline
    assert {f"{one}: ending, to be started again" for one in why} & {line["event"] for line in running.log}
    assert ended_s < effort(20, 45)


# With its only thread hung nothing is left to serve with; of two workers the other one is.
SERVED: dict[tuple[int, int], dict[str, float]] = {
    (1, 1): {},
    (1, 2): {"at_least": 0.99},
    (2, 1): {"at_least": 0.5},
    (2, 2): {"at_least": 0.99},
}
