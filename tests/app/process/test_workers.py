"""Several real server processes on one port, as a client and an operator see them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
import tiny
from running import Server, server, until

from bundle import publish

pytestmark = pytest.mark.e2e

CALLERS, PAUSE_S = 4, 0.005


@contextmanager
def callers(url: str) -> Iterator[Counter[str]]:
    """Callers that keep asking, half of them on connections that they keep, and what they saw."""
    seen: Counter[str] = Counter()
    done = threading.Event()

    def ask(keeps: bool) -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while not done.is_set():
                headers = {} if keeps else {"Connection": "close"}
                try:
                    answer = client.post("/encode", json={"inputs": "hello world"}, headers=headers)
                    seen[answer.headers.get("X-Model-Version", str(answer.status_code))] += 1
                except httpx.HTTPError as error:
                    seen[type(error).__name__] += 1
                time.sleep(PAUSE_S)

    threads = [threading.Thread(target=ask, args=[number % 2 == 0]) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: seen.total() > CALLERS)
        yield seen
        before = seen.total()
        until(lambda: seen.total() > before + CALLERS)
    finally:
        done.set()
        for thread in threads:
            thread.join()


def serving(running: Server, times: int = 1) -> str:
    running.logged("all workers serve", times)
    return str(running.logged("ready")["url"])


def metric(url: str, name: str) -> float:
    with httpx.Client(base_url=url, trust_env=False) as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def test_workers_switch_models_together_and_lose_no_request(models: Path) -> None:
    """The processes stay, and after the switch none answers by the version from before."""
    with server(models, ENCODERY_WORKERS="2") as running:
        url, workers = serving(running), _workers_of(running)
        publish(models, [tiny.text_draft(seed=1)])
        with callers(url) as seen:
            running.process.send_signal(signal.SIGHUP)
            running.logged("reloaded")
            switched = seen.copy()
            until(lambda: seen.total() > switched.total() + 20 * CALLERS)
        after = httpx.post(f"{url}/encode", json={"inputs": "hello"}, trust_env=False)
        counted = metric(url, 'encodery_requests_total{method="POST",route="/encode",status="200"}')
        running.process.send_signal(signal.SIGTERM)

        assert set(seen) == {"text/1", "text/2"}
        assert seen["text/1"] <= switched["text/1"] + CALLERS  # those that were on their way
        assert _workers_of(running) == workers
        assert after.headers["X-Model-Version"] == "text/2"
        assert counted == seen.total() + 1
        assert running.wait() == 0


def test_workers_take_no_package_of_the_current_directory_for_ours(published: Path, tmp_path: Path) -> None:
    for name in ("app", "bundle"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")

    with server(published, cwd=tmp_path, ENCODERY_WORKERS="2") as running:
        assert serving(running)


def test_a_killed_worker_takes_only_its_own_requests_and_is_replaced(published: Path) -> None:
    with server(published, ENCODERY_WORKERS="2") as running:
        url = serving(running)
        with callers(url) as seen:
            os.kill(_workers_of(running)[0], signal.SIGKILL)
            serving(running, times=2)

        lost = seen.total() - seen["text/1"]
        assert lost <= CALLERS
        assert seen["text/1"] > lost
        assert metric(url, "encodery_workers ") == 2
        assert metric(url, "encodery_worker_deaths_total") == 1
        until(lambda: metric(url, "encodery_items_in_work") == 0)  # each gauge is as old as its last look


def test_workers_end_with_their_supervisor_and_leave_nothing_behind(published: Path) -> None:
    with server(published, ENCODERY_WORKERS="2") as running:
        serving(running)
        workers = _workers_of(running)
        arguments = Path(f"/proc/{workers[0]}/cmdline").read_text().split("\0")
        shared = Path(arguments[arguments.index("--shared") + 1])
        assert shared.exists()
        running.process.kill()
        until(lambda: not any(map(_is_running, workers)))

        assert not shared.exists()


def test_without_a_model_no_worker_starts_and_it_says_why(tmp_path: Path) -> None:
    running = Server(tmp_path / "nowhere", ENCODERY_WORKERS="2")

    assert running.wait() == 1
    assert any(str(tmp_path / "nowhere") in line["event"] for line in running.log)
    assert not any("Traceback" in line["event"] for line in running.log)


def _workers_of(running: Server) -> list[int]:
    tasks = Path(f"/proc/{running.process.pid}/task")
    children = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    workers = [int(pid) for pid in children if b"app.process.worker" in _command(pid)]
    assert len(workers) == 2
    return sorted(workers)


def _command(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
