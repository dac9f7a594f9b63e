"""F2: two servers behind a balancer that asks whether they are ready are restarted in turn, under load."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from counting import until
from running import Server, server

from faults.probes import asked

POLL_S, DRAIN_S, GRACE_S = 0.1, 0.5, 3
PER_S = 50.0  # requests, of both servers
SLACK_S = 5.0  # for a process to end, on a busy machine


class Balancer:
    """Sends each request to the next server that said it was ready; tries none again."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.ready: list[str] = []
        self.seen: Counter[str] = Counter()
        self.is_over = asyncio.Event()
        self._client = httpx.AsyncClient(trust_env=False, timeout=30)
        self._sent = 0

    async def look(self) -> None:
        """For ever: who is ready."""
        while not self.is_over.is_set():
            self.ready = [url for url in list(self.urls) if await self._is_ready(url)]
            await asyncio.sleep(POLL_S)

    async def _is_ready(self, url: str) -> bool:
        try:
            return (await self._client.get(f"{url}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def send(self) -> None:
        """For ever, at fixed times, whatever comes back."""
        async with asyncio.TaskGroup() as group:
            while not self.is_over.is_set():
                if self.urls and self.ready:
                    group.create_task(self._ask())
                await asyncio.sleep(1 / PER_S)
        await self._client.aclose()

    async def _ask(self) -> None:
        self._sent += 1
        url = self.ready[self._sent % len(self.ready)]
        try:
            answer = await self._client.post(f"{url}/encode", json={"inputs": "hello world"})
            self.seen[str(answer.status_code)] += 1
        except httpx.TransportError as error:
            self.seen[type(error).__name__] += 1


@contextmanager
def half_open(port: int) -> Iterator[None]:
    """Connections that say nothing, half a head, or half a body, and stay."""
    said = (b"", b"POST /enc", b"POST /encode HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(5 * len(said))]
    for number, connection in enumerate(connections):
        connection.sendall(said[number % len(said)])
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def url_of(running: Server) -> str:
    return str(running.logged("ready")["url"])


def end(running: Server, port: int) -> tuple[float, float, int]:
    """Seconds from SIGTERM until it is unready, and until it has ended; its status."""
    with half_open(port):
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        told_s = time.monotonic()
        while asked(port, "/health/ready") == "200":
            time.sleep(0.005)
        unready_s = time.monotonic() - told_s
        status = running.process.wait(60)
        return unready_s, time.monotonic() - told_s, status


async def test_a_rolling_restart_fails_no_request(
    published: Path, effort: Callable[..., int], figure: Any
) -> None:
    variables = {"ENCODERY_DRAIN_DELAY_S": str(DRAIN_S), "ENCODERY_SHUTDOWN_GRACE_S": str(GRACE_S)}
    balancer, ends = Balancer(), list[tuple[float, float, int]]()

    def restart_in_turn() -> None:
        with ExitStack() as stack:
            running = [start(stack) for _ in range(2)]
            for _ in range(effort(1, 20)):
                oldest = running.pop(0)
                url = url_of(oldest)
                ends.append(end(oldest, httpx.URL(url).port or 0))
                balancer.urls.remove(url)
                running.append(start(stack))
            balancer.is_over.set()
            time.sleep(1.0)  # for the last answers

    def start(stack: ExitStack) -> Server:
        started = stack.enter_context(server(published, **variables))
        balancer.urls.append(url_of(started))
        until(lambda: url_of(started) in balancer.ready)
        return started

    async with asyncio.TaskGroup() as group:
        group.create_task(balancer.look())
        group.create_task(balancer.send())
        await asyncio.to_thread(restart_in_turn)

    unready_s, ended_s, statuses = zip(*ends, strict=True)
    figure("F2", "restarts", len(ends))
    figure("F2", "requests", balancer.seen.total())
    figure("F2", "requests that failed", balancer.seen.total() - balancer.seen["200"], at_most=0)
    figure("F2", "unready after", 1e3 * max(unready_s), at_most=100, unit="ms")
    figure("F2", "ended after", max(ended_s), at_most=DRAIN_S + GRACE_S + SLACK_S, unit="s")
    assert balancer.seen["200"] == balancer.seen.total() > 0, balancer.seen
    assert max(ended_s) < DRAIN_S + GRACE_S + 2 * SLACK_S
    assert set(statuses) == {0}
