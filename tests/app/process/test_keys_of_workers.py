"""Keys where several processes serve: their limits are those of the server, and a reload reads them anew."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from counting import children
from raw import ask, request
from running import START_S, Server, server

pytestmark = pytest.mark.e2e

RATE = 5


def row(name: str, **more: object) -> str:
    digest = hashlib.sha256(f"ek_{name}".encode()).hexdigest()
    return "\n".join([f'[{name}]\nsha256 = "{digest}"', *(f"{one} = {more[one]}" for one in more), ""])


def settled(audit: Path, event: str, count: int) -> list[dict[str, Any]]:
    """The lines, once so many are of that event; two workers read the keys when they start, and at SIGHUP."""
    give_up_s = time.monotonic() + START_S
    while True:
        lines = [json.loads(line) for line in audit.read_text().splitlines()]
        if sum(line["event"] == event for line in lines) >= count or time.monotonic() > give_up_s:
            return lines
        time.sleep(0.02)


def test_a_limit_holds_over_all_workers_and_a_reload_is_audited(published: Path, tmp_path: Path) -> None:
    keys, audit = tmp_path / "keys.toml", tmp_path / "audit.jsonl"
    keys.write_text(row("slow", requests_per_s=RATE) + row("other"))
    with server(
        published, ENCODERY_WORKERS="2", ENCODERY_KEYS_FILE=str(keys), ENCODERY_AUDIT_FILE=str(audit)
    ) as running:
        running.logged("all workers serve")
        url = running.logged("ready")["url"]
        seen: Counter[int] = Counter()
        began_s = time.monotonic()
        while sum(seen.values()) < 200:  # each on a connection of its own, which either may take
            seen[ask(url, request("GET", "/models", "X-API-Key: ek_slow")).status] += 1
        took_s = time.monotonic() - began_s
        others = ask(url, request("GET", "/models", "X-API-Key: ek_other")).status
        running.process.send_signal(signal.SIGHUP)
        running.logged("reloaded")
        lines = settled(audit, "keys.read", 4)

    assert RATE <= seen[200] <= RATE + RATE * took_s + 2  # one each, if both were asked at once
    assert seen[200] + seen[429] == 200
    assert others == 200
    assert [line["caller"] for line in lines if line["event"] == "models.reload"] == ["SIGHUP"]
    assert len([line for line in lines if line["event"] == "keys.read"]) == 4


@pytest.mark.parametrize("broken", ["not TOML", None])
def test_a_worker_that_takes_a_place_while_the_file_is_broken_knows_the_keys(
    published: Path, tmp_path: Path, broken: str | None
) -> None:
    keys, audit = tmp_path / "keys.toml", tmp_path / "audit.jsonl"
    keys.write_text(row("good"))
    with server(
        published, ENCODERY_WORKERS="2", ENCODERY_KEYS_FILE=str(keys), ENCODERY_AUDIT_FILE=str(audit)
    ) as running:
        running.logged("all workers serve")
        url = running.logged("ready")["url"]
        keys.write_text(broken) if broken else keys.unlink()
        for number, pid in enumerate(children(running.process.pid)):
            os.kill(pid, signal.SIGKILL)
            running.logged("all workers serve", times=2 + number)
        good, wrong = (
            {ask(url, request("GET", "/models", f"X-API-Key: ek_{name}")).status for _ in range(20)}
            for name in ("good", "wrong")
        )
    lines = [json.loads(line) for line in audit.read_text().splitlines()]

    assert (good, wrong) == ({200}, {401})
    assert len([line for line in lines if line["event"] == "keys.refused"]) >= 2


def test_a_server_does_not_start_with_a_broken_file(published: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text("not TOML")
    running = Server(published, ENCODERY_WORKERS="2", ENCODERY_KEYS_FILE=str(keys))

    assert running.wait() == 1
    assert any("The keys cannot be used" in line["event"] for line in running.log)
