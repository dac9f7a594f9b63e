"""M1: a long life. Mixed requests of any size, some bad, some whose callers hang up: nothing grows."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import tiny
from counting import in_work, open_files, threads, until

from bench import soak, texts
from bench.load import Load
from bench.measure import measured
from bench.servers import ROOT, Running, ours, running

CALLERS, COUNT = 16, 2000
ABORTS = 0.05  # of the requests, beside them
WARM = 0.2  # of the requests
SOME_MIB = 64  # more growth than this is a leak on any machine


@pytest.fixture(scope="module")
def models(published: Path, effort: Callable[..., Path]) -> Path:
    return effort(published, ROOT / "models")


@pytest.fixture(scope="module")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(ours(models), tmp_path_factory.mktemp("soak") / "log") as started:
        yield started


def mixed(models: Path) -> list[bytes]:
    """Texts in batches of random size and length, users, and one in twenty that must be refused."""
    chance = random.Random(0)
    user, users = ("shop-user", tiny.USERS) if (models / "shop-user").exists() else ("retail-user", [{}])

    def one() -> dict[str, object]:
        some = [
            " ".join(chance.choices(texts.WORDS, k=chance.randint(1, 60)))
            for _ in range(chance.choice(SIZES))
        ]
        return (
            {"model": user, "inputs": chance.choice(users)}
            if chance.random() < 0.3
            else {"inputs": some, "truncate": "end"}
        )

    bad = soak.BAD
    return [
        chance.choice(bad) if chance.random() < 0.05 else json.dumps(one()).encode() for _ in range(COUNT)
    ]


SIZES = (1, 1, 1, 1, 2, 5, 16, 64)


def hang_up(port: int, body: bytes) -> None:
    """Send a request, or most of one, and leave."""
    head = (
        f"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"{head}\r\n\r\n".encode() + body[: random.Random(body).randint(0, len(body))])


def test_nothing_grows(models: Path, served: Running, effort: Callable[..., Any], figure: Any) -> None:
    bodies, seconds = mixed(models), effort(3.0, 20.0)
    parts, is_over = list[tuple[float, int]](), threading.Event()
    answers, gone = 0, [0]

    def leave() -> None:
        while not is_over.wait(0.002):
            if gone[0] < ABORTS * (answers + 500):
                hang_up(served.port, bodies[gone[0] % COUNT])
                gone[0] += 1

    load = Load("127.0.0.1", served.port, "/encode", bodies, CALLERS, seconds=seconds, warm_s=0.2)
    leaving = threading.Thread(target=leave)
    leaving.start()
    statuses = set[str]()
    for part in range(effort(3, 6)):
        found = measured(load, served)
        answers += sum(found["statuses"].values())
        statuses |= set(found["statuses"])
        parts.append((served.private_mib(), answers))
        if part == 0:
            files, tasks = open_files(served.process.pid), threads(served.process.pid)
        assert found["broken"] == 0
    is_over.set()
    leaving.join()
    url = f"http://127.0.0.1:{served.port}"
    until(lambda: in_work(url) == 0)
    until(lambda: open_files(served.process.pid) <= files)

    (before_mib, before), (after_mib, after) = parts[0], parts[-1]
    figure("M1", "requests", answers + gone[0])
    figure("M1", "growth after the first part", after_mib - before_mib, at_most=64, unit="MiB")
    figure("M1", "growth by 100,000 requests", 1e5 * (after_mib - before_mib) / (after - before), unit="MiB")
    figure("M1", "more threads", threads(served.process.pid) - tasks, at_most=0)
    figure("M1", "statuses that are no answer to these", len(statuses - EXPECTED), at_most=0)
    assert statuses <= EXPECTED, statuses
    assert gone[0] > 0
    assert after_mib - before_mib < SOME_MIB
    assert threads(served.process.pid) <= tasks + 2
    assert httpx.post(f"{url}/encode", json={"inputs": "a"}, trust_env=False).status_code == 200


EXPECTED = {"200", "400", "404", "412", "413", "422", "429"}
