"""L3 and F7: nobody waits for the answer any more, and nothing is computed for nobody."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import permutations
from typing import Any

import httpx2 as httpx
import pytest
from counting import in_work, open_files, rows_run, until
from running import Server, server
from slow import WORDS, publish_slow

TEXTS = [" ".join(pair) for pair in permutations(WORDS[3:8], 2)]  # each a millisecond and a pass of its own
BODY = json.dumps({"inputs": TEXTS}).encode()
BURST = 40  # requests that come at once
EXPIRES_MS = 100
NOW = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One row at a time."""
    models = publish_slow(tmp_path_factory.mktemp("slow"), trips=1000)
    settings = {
        "ENCODERY_THREADS": "1",
        "ENCODERY_BATCH_TOKENS": "1",
        "ENCODERY_MAX_WAIT_S": "30",
    }  # all are let in
    with server(models, **settings) as started:
        started.logged("ready")
        yield started


@pytest.fixture(scope="module")
def url(running: Server) -> str:
    return str(running.logged("ready")["url"])


def request(*headers: str) -> bytes:
    lines = ["POST /encode HTTP/1.1", "Host: a", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(BODY)}", "", ""]).encode() + BODY


def connect(url: str) -> socket.socket:
    target = httpx.URL(url)
    return socket.create_connection((target.host, target.port), timeout=60)


def settled(url: str) -> float:
    """Rows run, when all is done."""
    until(lambda: in_work(url) == 0)
    return rows_run(url)


def test_what_expired_is_not_started(url: str, effort: Callable[..., int], figure: Any) -> None:
    """A burst of requests that may take 100 ms. When the time comes one row runs; no other starts after."""
    for _ in range(effort(2, 20)):
        before = settled(url)
        with ThreadPoolExecutor(BURST) as threads:
            answers = list(threads.map(lambda _: expiring(url), range(BURST)))
        computed = settled(url) - before
        in_vain = computed - len(TEXTS) * answers.count(200)
        # Of a request that expires some rows ran in time.
        started = expired_rows_at_most(answers)
        figure("L3", "rows run for requests that had expired", max(0.0, in_vain - started), at_most=0)
        assert set(answers) <= {200, 422, 429, 503, 504}  # 422: more work than its time
        assert in_vain <= started


def expiring(url: str) -> int:
    answer = httpx.post(
        f"{url}/encode",
        content=BODY,
        headers={"Content-Type": "application/json", "X-Request-Timeout-Ms": str(EXPIRES_MS)},
        trust_env=False,
        timeout=60,
    )
    return answer.status_code


def expired_rows_at_most(answers: list[int]) -> int:
    """Rows of requests that were begun in time: those that got 504, but never more than fit into the time."""
    return min(len(TEXTS) * answers.count(504), 2 * EXPIRES_MS)


def test_queued_requests_of_callers_that_left_never_run(
    url: str, effort: Callable[..., int], figure: Any
) -> None:
    for _ in range(effort(2, 20)):
        settled(url)
        callers = [connect(url) for _ in range(BURST)]
        for caller in callers:
            caller.sendall(request())
        until(lambda: in_work(url) > len(TEXTS))
        for caller in callers:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            caller.close()
        gone, queued = rows_run(url), in_work(url)
        ran = settled(url) - gone
        if queued > len(TEXTS):
            never = 1 - min(queued, max(0.0, ran - 2)) / queued  # one runs, one may be counted late
            figure("F7", "of queued rows whose caller left, never run", never, at_least=0.95)
            assert never >= 0.5
    with closing(connect(url)) as caller:
        caller.sendall(request())
        assert caller.recv(12) == b"HTTP/1.1 200"


PHASES = (
    "nothing",
    "half a head",
    "a head",
    "half a body",
    "all",
    "all, and waits",
    "some of the answer",
    "two",
)


def abort(url: str, phase: str, chance: random.Random) -> None:
    """Say so much, and leave, politely or not."""
    whole = request()
    head = whole.index(b"\r\n\r\n") + 4
    said = {"nothing": b"", "half a head": whole[: head // 2], "a head": whole[:head], "two": 2 * whole}
    said["half a body"] = whole[: head + len(BODY) // 2]
    with connect(url) as caller:
        if chance.random() < 0.5:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
        caller.sendall(said.get(phase, whole))
        if phase == "all, and waits":
            time.sleep(chance.uniform(0.0, 0.05))
        if phase == "some of the answer":
            caller.recv(20)


def test_aborts_at_any_moment_leave_nothing_behind(
    running: Server, url: str, effort: Callable[..., int], figure: Any
) -> None:
    """No work, no descriptor, no error in the log; and a caller that stays is served meanwhile."""
    settled(url)
    known = httpx.post(f"{url}/encode", json={"inputs": "a"}, trust_env=False)  # the rate, guessed until then
    assert known.status_code == 200
    files = open_files(running.process.pid)
    chance, count, is_over, stayed = random.Random(0), effort(160, 1000), threading.Event(), list[int]()

    def stay() -> None:
        while not is_over.is_set():
            stayed.append(httpx.post(f"{url}/encode", json={"inputs": "a"}, trust_env=False).status_code)

    thread = threading.Thread(target=stay)
    thread.start()
    with ThreadPoolExecutor(8) as callers:
        phases = chance.choices(PHASES, k=count)
        list(callers.map(lambda phase: abort(url, phase, random.Random(phase)), phases))
    is_over.set()
    thread.join()
    idle_s = until(lambda: in_work(url) == 0)
    until(lambda: open_files(running.process.pid) <= files)

    figure("F7", "in work after 1,000 aborts: none after", idle_s, at_most=5, unit="s")
    figure("F7", "refused or failed of those that stayed", len(stayed) - stayed.count(200), at_most=0)
    assert stayed.count(200) == len(stayed) > 0
    assert not [line for line in running.log if "Traceback" in str(line) or line.get("level") == "error"]
