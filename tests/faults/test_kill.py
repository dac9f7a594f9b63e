"""F1: a worker is killed under load. Only what it had in work is lost, and soon all is as before."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from counting import children, metric, until
from running import Server, server

from bench import texts
from bench.load import Load, LoadResult
from bench.servers import ROOT
from encodery_client import Client, EncoderyClientError

WORKERS, SHARE = 2, 0.7  # of the peak, which is what is offered
RETRIES = 2
CALLERS = 4  # who use the client
SOON_S = 1.0  # after a kill: what breaks later was not in work


@pytest.fixture(scope="module")
def running(published: Path, effort: Callable[..., Any]) -> Iterator[Server]:
    """Two workers: of the bundled models, or of tiny ones."""
    with server(effort(published, ROOT / "models"), ENCODERY_WORKERS=str(WORKERS)) as started:
        started.logged("all workers serve")
        yield started


def result_of(load: Load) -> LoadResult:
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=load.to_json(), capture_output=True, cwd=ROOT, check=True)
    return LoadResult(**json.loads(done.stdout))


@contextmanager
def clients(url: str) -> Iterator[Counter[str]]:
    """Callers of the Python client, which tries again: what they met."""
    from encodery_client import Retry

    met: Counter[str] = Counter()
    is_over = threading.Event()

    def call() -> None:
        with Client(url, retry=Retry(attempts=1 + RETRIES)) as client:
            while not is_over.wait(0.02):
                try:
                    client.encode_one("hello world")
                    met["vectors"] += 1
                except EncoderyClientError as error:
                    met[type(error).__name__] += 1

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield met
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def kill_one(running: Server, url: str, number: int) -> tuple[float, float]:
    """When, and the seconds until as many workers served as before."""
    before = metric(url, "encodery_worker_deaths_total")  # a busy server answers late
    killed_s = time.monotonic()
    os.kill(children(running.process.pid)[number % WORKERS], signal.SIGKILL)
    until(lambda: metric(url, "encodery_worker_deaths_total") > before)
    until(lambda: metric(url, "encodery_workers") == WORKERS)
    return killed_s, time.monotonic() - killed_s


def test_only_what_a_killed_worker_had_in_work_is_lost(
    running: Server, effort: Callable[..., Any], figure: Any
) -> None:
    url = str(running.logged("ready")["url"])
    kills, seconds, model = effort(1, 8), effort(15.0, 90.0), effort("text", "text-small")
    bodies = texts.bodies(texts.texts(256), 1, model=model, truncate="end")
    load = Load(
        "127.0.0.1", httpx.URL(url).port or 0, "/encode", bodies, callers=16, seconds=effort(1.0, 4.0)
    )
    peak = (found := result_of(load)).done / found.seconds
    offered = replace(load, callers=0, rate=min(SHARE * peak, effort(100.0, 1e6)), seconds=seconds)

    back_s, killed_s, results = list[float](), list[float](), list[LoadResult]()
    sending = threading.Thread(target=lambda: results.append(result_of(offered)))
    with clients(url) as met:
        sending.start()
        time.sleep(3.0)
        while len(back_s) < kills and sending.is_alive():
            at_s, took_s = kill_one(running, url, len(back_s))
            killed_s.append(at_s)
            back_s.append(took_s)
            time.sleep(2.0)
        sending.join()
    [found] = results

    late = [at_s for at_s in found.broken_s if not any(0 <= at_s - kill_s < SOON_S for kill_s in killed_s)]
    refused = sum(found.statuses.get(status, 0) for status in ("429", "503"))
    others = found.offered - found.ok - refused - found.broken
    figure("F1", "kills", len(back_s))
    figure("F1", "all workers serve again after", max(back_s), at_most=5, unit="s")
    figure("F1", "failures with the client, which tries three times", met.total() - met["vectors"], at_most=0)
    figure("F1", "requests lost by a kill, of those offered", found.broken / len(back_s) / found.offered)
    figure("F1", "requests lost that the killed worker did not have", len(late), at_most=0)
    figure("F1", "other answers than 200 and refusals", others, at_most=0)
    figure("F1", "refused while one worker was missing, of those offered", refused / found.offered)
    assert met["vectors"] == met.total() > CALLERS, met
    assert late == []
    assert found.broken < 0.1 * found.offered
    assert found.ok > 0.5 * found.offered
