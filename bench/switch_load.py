"""The callers of `bench.switch`, in a process of their own: they hold each answer to an oracle.

python -m bench.switch_load PLAN.json ORACLE.npz ANSWERS.npz       until standard input ends
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import uvloop

RAW = "application/octet-stream"
FAILED = 0  # as status: no answer came
FIELDS = ("sent_s", "done_s", "status", "version", "off")


@dataclass(frozen=True)
class Plan:
    """What to ask.

    Attributes:
        rate: requests per second of all callers together; 0 for as many as are answered.
    """

    port: int
    inputs: Sequence[str]
    callers: int
    rate: float = 0.0

    def start(self, work: Path, oracle: Mapping[str, npt.NDArray[np.float32]]) -> subprocess.Popen[bytes]:
        """Let them ask until `stop`."""
        (work / "plan.json").write_text(json.dumps(asdict(self)))
        np.savez(work / "oracle.npz", **oracle)  # type: ignore[arg-type]
        command = [sys.executable, "-m", "bench.switch_load", "plan.json", "oracle.npz", "answers.npz"]
        command[3:] = [str(work / name) for name in command[3:]]
        return subprocess.Popen(command, stdin=subprocess.PIPE)


def stop(asking: subprocess.Popen[bytes], work: Path) -> dict[str, npt.NDArray[np.float64]]:
    """What they saw, a row per request: seconds, status, version, and how far its vector was off."""
    assert asking.stdin is not None
    asking.stdin.close()
    if asking.wait(60):
        raise SystemExit("the callers failed")
    with np.load(work / "answers.npz") as found:
        return {name: found[name] for name in FIELDS}


class _Answer(NamedTuple):
    """What came of a request.

    Attributes:
        off: the largest difference of the vector from what the version must give.
        is_last: the server ends the connection after it.
    """

    status: int
    version: int
    off: float
    is_last: bool


class _Callers:
    """Closed loops, each of which waits for its time before it asks again."""

    def __init__(self, plan: Plan, oracle: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._plan, self._oracle = plan, oracle
        self._is_over = asyncio.Event()
        self.rows: list[tuple[float, float, int, int, float]] = []

    async def ask(self) -> None:
        loop = asyncio.get_running_loop()
        over = loop.run_in_executor(None, sys.stdin.buffer.read)
        tasks = [asyncio.create_task(self._caller(number)) for number in range(self._plan.callers)]
        await over
        self._is_over.set()
        await asyncio.gather(*tasks)

    async def _caller(self, number: int) -> None:
        every_s = self._plan.callers / self._plan.rate if self._plan.rate else 0.0
        due_s = time.monotonic() + every_s * number / self._plan.callers
        at, reader, writer = number, *await self._connect()
        while not self._is_over.is_set():
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            sent_s = due_s = max(due_s, time.monotonic() - every_s)  # late by no more than one turn
            due_s += every_s
            at = (at + self._plan.callers) % len(self._plan.inputs)
            try:
                status, version, off, is_last = await self._one(reader, writer, at)
            except (OSError, asyncio.IncompleteReadError):
                status, version, off, is_last = FAILED, 0, 0.0, True
            self.rows.append((sent_s, time.monotonic(), status, version, off))
            if is_last:
                writer.close()
                reader, writer = await self._connect()
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._plan.port)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at: int) -> _Answer:
        """Ask once; of what failed, version and difference are 0."""
        body = json.dumps({"inputs": self._plan.inputs[at]}).encode()
        head = (
            f"POST /encode HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: {RAW}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        content = await reader.readexactly(int(headers["content-length"]))
        status, is_last = int(lines[0].split()[1]), headers.get("connection") == "close"
        if status != 200:
            return _Answer(status, 0, 0.0, is_last)
        version = headers["x-model-version"].partition("/")[2]
        off = np.abs(np.frombuffer(content, "<f4") - self._oracle[version][at]).max()
        return _Answer(status, int(version), float(off), is_last)


def main() -> None:
    """Ask until standard input ends, and write what came."""
    plan_path, oracle_path, answers = map(Path, sys.argv[1:])
    plan = Plan(**json.loads(plan_path.read_text()))
    with np.load(oracle_path) as found:
        callers = _Callers(plan, {name: found[name] for name in found})
    uvloop.run(callers.ask())
    columns = np.array(callers.rows, np.float64).reshape(-1, len(FIELDS))
    np.savez(answers, **dict(zip(FIELDS, columns.T, strict=True)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
