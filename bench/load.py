"""Sends a load: many callers over HTTP/1.1, in a process of its own, on raw asyncio streams of bytes.

Closed loop: each caller sends its next request when the last one was answered. Open loop: requests go out
at fixed times whatever the server does, and latency counts from the time at which one should have gone
out, so that a server that falls behind cannot hide it (coordinated omission).

Reads a `Load` as JSON from standard input and writes a `LoadResult` to standard output. It knows nothing of
what the bodies say.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import uvloop

MOST_CONNECTIONS = 1024  # of an open loop; what is due over that waits, and its latency counts
SETTLE_S = 5.0  # how long the last answers are waited for
QUANTILES = (0.5, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Load:
    """The requests to send, and how.

    Attributes:
        bodies: of the requests, sent in turn.
        callers: of a closed loop; 0 for an open one.
        rate: requests per second of an open loop, at random (Poisson) times.
        warm_s: not counted, before.
    """

    host: str
    port: int
    path: str
    bodies: Sequence[bytes]
    callers: int = 0
    rate: float = 0.0
    seconds: float = 5.0
    warm_s: float = 1.0
    headers: Sequence[str] = ()

    def to_json(self) -> bytes:
        """Serialize for the other process."""
        bodies = [base64.b64encode(body).decode() for body in self.bodies]
        return json.dumps(asdict(self) | {"bodies": bodies}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Load:
        """Read what `to_json` wrote."""
        fields = json.loads(content)
        return cls(**(fields | {"bodies": [base64.b64decode(body) for body in fields["bodies"]]}))

    def request(self, body: bytes) -> bytes:
        """Write one request as it goes over the wire."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *self.headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class LoadResult:
    """The answers of one load, within the counted time.

    Attributes:
        started_s, ended_s: of the counted time, on the clock of `time.monotonic`, which all processes of
            a machine share.
        statuses: answers by HTTP status.
        latency_ms: by quantile, of 200s.
        late: requests that were due but not answered at the end.
        client_cpu_s: what this process used: a load that needs a whole core measures itself.
    """

    started_s: float = 0.0
    ended_s: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    answer_bytes: float = 0.0
    broken: int = 0
    late: int = 0
    client_cpu_s: float = 0.0

    @property
    def ok(self) -> int:
        """Requests answered with 200."""
        return self.statuses.get("200", 0)

    @property
    def seconds(self) -> float:
        """Counted time."""
        return self.ended_s - self.started_s


class Connection(asyncio.Protocol):
    """One connection, one request at a time. `answered(status, size)`; status 0 when it broke."""

    def __init__(self, answered: Callable[[Connection, int, int], None]) -> None:
        self._answered = answered
        self._head = b""
        self._status = self._missing = self._size = 0
        self._busy = False
        self.due_s = 0.0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]  # uvloop's own class

    def send(self, request: bytes, due_s: float) -> None:
        """Start a request that should have gone out at `due_s`."""
        self.due_s, self._busy, self._status, self._head = due_s, True, 0, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._status:
            self._head += data
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._status = int(head[9:12])
            self._missing = self._size = _content_length(head)
            data = rest
        self._missing -= len(data)
        if self._missing <= 0:
            self._busy = False
            self._answered(self, self._status, self._size)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._answered(self, 0, 0)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Run:
    """One measurement of a load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = [load.request(body) for body in load.bodies]
        self._sent = 0
        self._statuses: Counter[int] = Counter()
        self._latencies_s: list[float] = []
        self._bytes = 0
        self._starts_s = time.monotonic() + load.warm_s
        self._ends_s = self._starts_s + load.seconds
        self._idle: deque[Connection] = deque()
        self._open = self._late = 0
        self._connections: list[Connection] = []

    async def measure(self) -> LoadResult:
        """Send, wait, sum up."""
        cpu_s = _cpu_s()
        await (self._closed() if self._load.callers else self._opened())
        for connection in self._connections:
            connection.transport.abort()
        quantiles = sorted(self._latencies_s)
        return LoadResult(
            started_s=self._starts_s,
            ended_s=self._ends_s,
            statuses={str(status): count for status, count in self._statuses.items() if status},
            latency_ms={f"p{100 * q:g}": 1e3 * _quantile(quantiles, q) for q in QUANTILES},
            answer_bytes=self._bytes / max(1, sum(self._statuses.values())),
            broken=self._statuses[0],
            late=self._late,
            client_cpu_s=_cpu_s() - cpu_s,
        )

    def _next(self) -> bytes:
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        return request

    def _count(self, due_s: float, status: int, size: int) -> None:
        now_s = time.monotonic()
        counted_s = now_s if self._load.callers else due_s
        if self._starts_s <= counted_s < self._ends_s:
            self._statuses[status] += 1
            self._bytes += size
            if status == 200:
                self._latencies_s.append(now_s - due_s)

    async def _connect(self, answered: Callable[[Connection, int, int], None]) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(answered), self._load.host, self._load.port
        )
        self._connections.append(connection)
        return connection

    async def _closed(self) -> None:
        def answered(connection: Connection, status: int, size: int) -> None:
            self._count(connection.due_s, status, size)
            now_s = time.monotonic()
            if status and now_s < self._ends_s:
                connection.send(self._next(), now_s)

        connections = [await self._connect(answered) for _ in range(self._load.callers)]
        for connection in connections:
            connection.send(self._next(), time.monotonic())
        await asyncio.sleep(self._ends_s - time.monotonic())

    async def _opened(self) -> None:
        due, waiting = time.monotonic(), deque[float]()
        chance = random.Random(0)  # the same load for every server

        def answered(connection: Connection, status: int, size: int) -> None:
            self._count(connection.due_s, status, size)
            if not status:
                self._open -= 1
            elif waiting:
                connection.send(self._next(), waiting.popleft())
            else:
                self._idle.append(connection)

        for _ in range(16):
            self._idle.append(await self._connect(answered))
            self._open += 1
        tasks: set[asyncio.Task[None]] = set()
        while due < self._ends_s:
            due += chance.expovariate(self._load.rate)
            if (ahead_s := due - time.monotonic()) > 0:
                await asyncio.sleep(ahead_s)
            if self._idle:
                self._idle.pop().send(self._next(), due)
                continue
            waiting.append(due)
            if self._open < MOST_CONNECTIONS:
                self._open += 1
                task = asyncio.create_task(self._enlarge(answered, waiting))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        stop_s = time.monotonic() + SETTLE_S
        while len(self._idle) < self._open and time.monotonic() < stop_s:
            await asyncio.sleep(0.02)
        self._late = self._open - len(self._idle) + len(waiting)

    async def _enlarge(self, answered: Callable[[Connection, int, int], None], waiting: deque[float]) -> None:
        connection = await self._connect(answered)
        if waiting:
            connection.send(self._next(), waiting.popleft())
        else:
            self._idle.append(connection)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure what standard input asks for."""
    load = Load.from_json(sys.stdin.buffer.read())
    measured = uvloop.run(Run(load).measure())
    json.dump(asdict(measured), sys.stdout)


if __name__ == "__main__":
    main()
