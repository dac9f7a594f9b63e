"""Sends a load: many callers over HTTP/1.1, in a process of its own, on raw asyncio streams of bytes.

Closed loop: each caller sends its next request when the last one was answered. Open loop: requests go out
at fixed times whatever the server does, and latency counts from the time at which one should have gone
out, so that a server that falls behind cannot hide it (coordinated omission). What counts as done is what
was answered within the counted time and within the deadline; an answer that comes later is none.

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
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle

import uvloop

from bench.connection import Answered, Connection
from bench.tally import Second, Tally

FIRST_CONNECTIONS, MOST_CONNECTIONS = 16, 1024  # of an open loop; what is due over the most waits for one
SETTLE_S = 5.0  # how long the last answers are waited for, over the deadline


@dataclass(frozen=True)
class Load:
    """The requests to send, and how.

    Attributes:
        bodies: of the requests, sent in turn.
        callers: of a closed loop; 0 for an open one.
        rate: requests per second of an open loop, at random (Poisson) times.
        steps: other rates, each with its share of the counted time, one after another; none for `rate`.
        deadline_s: what is answered later than that after it was due is not counted as done; 0 for none.
        warm_s: not counted, before.
        media_type: of the bodies.
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
    steps: Sequence[tuple[float, float]] = ()
    deadline_s: float = 0.0
    media_type: str = "application/json"

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
            f"Content-Type: {self.media_type}",
            f"Content-Length: {len(body)}",
            *self.headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def due_s(self) -> Iterator[float]:
        """Yield when an open loop's requests go out, in seconds from its start: the same for every server."""
        chance, now_s, until_s = random.Random(0), 0.0, self.warm_s
        for share, rate in self.steps or [(1.0, self.rate)]:
            until_s += share * self.seconds
            while (now_s := now_s + chance.expovariate(rate)) < until_s:
                yield now_s
            now_s = until_s


@dataclass
class LoadResult:
    """The answers of one load.

    Attributes:
        started_s, ended_s: of the counted time, on the clock of `time.monotonic`, which all processes of
            a machine share.
        done: 200s that came within the counted time, and within the deadline.
        statuses: answers by HTTP status, of requests that were due within the counted time.
        latency_ms: by quantile, of their 200s.
        refused_ms: the same of their 429s and 503s.
        offered: requests that were due within the counted time.
        broken: connections that ended before their answer.
        broken_s: when they did.
        late: requests that were due but not answered at the end.
        sent_late_ms: by quantile, how much later than due requests went out: with much of that the load was
            not the one asked for.
        by_second: the counted time, second by second.
        client_cpu_s: what this process used: a load that needs a whole core measures itself.
    """

    started_s: float = 0.0
    ended_s: float = 0.0
    done: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    refused_ms: dict[str, float] = field(default_factory=dict)
    offered: int = 0
    answer_bytes: float = 0.0
    broken: int = 0
    broken_s: Sequence[float] = ()
    late: int = 0
    sent_late_ms: dict[str, float] = field(default_factory=dict)
    by_second: Sequence[Second] = ()
    client_cpu_s: float = 0.0

    @property
    def ok(self) -> int:
        """Requests answered with 200, whenever."""
        return self.statuses.get("200", 0)

    @property
    def seconds(self) -> float:
        """Counted time."""
        return self.ended_s - self.started_s


class Run:
    """One measurement of a load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._requests = cycle([load.request(body) for body in load.bodies])
        started_s = time.monotonic()
        self._tally = Tally(started_s + load.warm_s, load.seconds, load.deadline_s, by_due=not load.callers)
        self._idle: deque[Connection] = deque()
        self._waiting: deque[float] = deque()  # times at which requests were due that have no connection yet
        self._open = self._late = 0
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def measure(self) -> LoadResult:
        """Send, wait, sum up."""
        cpu_s = _cpu_s()
        await (self._closed() if self._load.callers else self._opened())
        for connection in self._connections:
            connection.transport.abort()
        tally = self._tally
        return LoadResult(
            started_s=tally.starts_s,
            ended_s=tally.ends_s,
            done=tally.done,
            statuses={str(status): count for status, count in tally.statuses.items() if status},
            latency_ms=tally.latency_ms(),
            refused_ms=tally.refused_ms(),
            offered=tally.offered,
            answer_bytes=tally.bytes / max(1, sum(tally.statuses.values())),
            broken=tally.statuses[0],
            broken_s=tally.broken_s,
            late=self._late,
            sent_late_ms=tally.sent_late_ms(),
            by_second=tally.by_second(),
            client_cpu_s=_cpu_s() - cpu_s,
        )

    async def _connect(self, answered: Answered) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(answered, self._lost), self._load.host, self._load.port
        )
        self._connections.append(connection)
        return connection

    def _send(self, connection: Connection, due_s: float) -> None:
        """Send the next request, which is due at that time."""
        self._tally.sent(due_s, time.monotonic())
        connection.send(next(self._requests), due_s)

    async def _closed(self) -> None:
        def answered(connection: Connection, status: int, size: int) -> None:
            now_s = time.monotonic()
            self._tally.answered(connection.due_s, now_s, status, size)
            if connection.is_usable and now_s < self._tally.ends_s:
                send(connection, now_s)

        def send(connection: Connection, now_s: float) -> None:
            self._tally.due(now_s)
            self._send(connection, now_s)

        connections = [await self._connect(answered) for _ in range(self._load.callers)]
        for connection in connections:
            send(connection, time.monotonic())
        await asyncio.sleep(self._tally.ends_s - time.monotonic())

    async def _opened(self) -> None:
        for _ in range(FIRST_CONNECTIONS):
            self._idle.append(await self._connect(self._free))
            self._open += 1
        started_s = self._tally.starts_s - self._load.warm_s
        for due_s in self._load.due_s():
            if (ahead_s := started_s + due_s - time.monotonic()) > 0:
                await asyncio.sleep(ahead_s)
            elif not self._idle:
                await asyncio.sleep(0)  # it is behind: answers must be read all the same
            self._go_out(started_s + due_s)
        stop_s = self._tally.ends_s + self._load.deadline_s + SETTLE_S
        while len(self._idle) < self._open and time.monotonic() < stop_s:
            await asyncio.sleep(0.02)
        self._late = self._open - len(self._idle) + len(self._waiting)

    def _go_out(self, due_s: float) -> None:
        """Send it on a connection that is free, or else have it wait for one."""
        self._tally.due(due_s)
        if self._idle:
            self._send(self._idle.pop(), due_s)
            return
        self._waiting.append(due_s)
        if self._open < MOST_CONNECTIONS:
            self._enlarge()

    def _enlarge(self) -> None:
        self._open += 1
        task = asyncio.create_task(self._connect_and_go())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_and_go(self) -> None:
        try:
            self._next(await self._connect(self._free))
        except OSError:
            self._open -= 1
            if self._waiting:  # nobody listens: that request is lost
                self._tally.answered(self._waiting.popleft(), time.monotonic(), 0, 0)

    def _free(self, connection: Connection, status: int, size: int) -> None:
        """An open loop's request was answered."""
        self._tally.answered(connection.due_s, time.monotonic(), status, size)
        if connection.is_usable:
            self._next(connection)
            return
        self._open -= 1
        if self._waiting:
            self._enlarge()

    def _next(self, connection: Connection) -> None:
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        """The server closed a connection that had nothing to do."""
        if connection in self._idle:
            self._idle.remove(connection)
            self._open -= 1


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
