"""What bulk work costs: `encodery encode` against the bare encoder, and a stream beside single requests.

    python scripts/bench_bulk.py rate       rows/s of the encoder alone, of the command, and at a server
    python scripts/bench_bulk.py memory     peak memory of the command at 10,000 and at 1,000,000 rows
    python scripts/bench_bulk.py stream     p50 and p99 of single requests, idle and beside a stream; memory

Texts are random words of the bundled vocabulary, 5 to 60 of them, log-normal. One JSON line per figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(ROOT / "clients" / "python")]

import examples  # noqa: E402  # its server is the one that the documentation runs

from bundle import Store, Text  # noqa: E402
from bundle.encoder import BATCH_COST, batches  # noqa: E402

WORDS = [
    *("order", "parcel", "red", "blue", "lamp", "night", "light", "holder", "paper", "heart"),
    *("set", "box", "card", "garden", "small", "large", "wooden"),
]
SINGLES = 600


def texts(count: int) -> Iterator[str]:
    """Random texts, the same every time."""
    random = np.random.default_rng(0)
    for _ in range(count):
        length = int(np.clip(random.lognormal(2.7, 0.6), 5, 60))
        yield " ".join(random.choice(WORDS, length))


def rate(rows: int = 50_000) -> None:
    """Rows per second."""
    encoder = Store(ROOT / "models").load("text")
    inputs = [Text(text) for text in texts(rows)]
    started = time.perf_counter()
    prepared = encoder.prepare(inputs, "end")
    prepare_s = time.perf_counter() - started
    groups = list(batches([one.cost for one in prepared], BATCH_COST))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(lambda group: encoder.run([prepared[row] for row in group]), groups))
        run_s = time.perf_counter() - started
    report(
        what="encoder alone",
        rows=rows,
        rows_per_s=round(rows / (prepare_s + run_s)),
        forward_only=round(rows / run_s),
    )
    for output in ("out.npy", "out.parquet", "out.jsonl"):
        report(what=f"encodery encode, {output}", **encode(rows, output))
    with examples.server() as url:
        report(what="encodery encode --url, out.npy", **encode(rows, "out.npy", "--url", url))


def memory() -> None:
    """Peak memory; short texts, since it is the number of rows that must not count."""
    for rows in (10_000, 1_000_000):
        report(what="encodery encode, out.npy", **encode(rows, "out.npy", short=True))


def encode(rows: int, output: str, *options: str, short: bool = False) -> dict[str, Any]:
    """Run the command on that many rows in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "in.jsonl"
        with source.open("w") as file:
            for number, text in enumerate(texts(rows) if not short else (f"lamp {n}" for n in range(rows))):
                file.write(json.dumps({"id": number, "text": text}) + "\n")
        command = [sys.executable, "-m", "encodery", "encode", str(source), f"{scratch}/{output}", *options]
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
    assert process.returncode == 0, process.returncode
    return {
        "rows": rows,
        "rows_per_s": round(rows / seconds),
        "seconds": round(seconds, 1),
        "peak_mib": usage.ru_maxrss // 1024,
    }


async def beside(url: str, lines: int) -> dict[str, Any]:
    """Latency of single requests, first alone, then while a stream runs."""

    async def body() -> AsyncIterator[bytes]:
        for text in texts(lines):
            yield json.dumps(text).encode() + b"\n"

    async def stream(client: httpx.AsyncClient) -> int:
        answered, headers = 0, {"Content-Type": "application/x-ndjson"}
        parameters = {"encoding": "base64", "output": "ubinary"}  # small enough to wait in the buffers
        async with client.stream(
            "POST", "/encode", content=body(), headers=headers, params=parameters
        ) as response:
            async for block in response.aiter_bytes():
                answered += block.count(b"\n")
        return answered - 1

    async def singles(client: httpx.AsyncClient) -> list[float]:
        found = []
        for text in texts(SINGLES):
            started = time.perf_counter()
            (await client.post("/encode", json={"inputs": text})).raise_for_status()
            found.append((time.perf_counter() - started) * 1e3)
            await asyncio.sleep(0.005)
        return found

    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as client:
        await singles(client)  # warm
        idle = await singles(client)
        began = time.perf_counter()
        streaming = asyncio.create_task(stream(client))
        await asyncio.sleep(0.5)
        busy = await singles(client)
        was_streaming = not streaming.done()
        answered = await streaming
        seconds = time.perf_counter() - began
    figures = {
        f"{name}_p{q}_ms": round(float(np.percentile(found, q)), 2)
        for name, found in (("idle", idle), ("busy", busy))
        for q in (50, 99)
    }
    return figures | {
        "lines": answered,
        "lines_per_s": round(answered / seconds),
        "stream_outlasted_singles": was_streaming,
    }


def stream(lines: int = 90_000) -> None:
    """A stream beside single requests."""
    with examples.server() as url:
        report(what="stream", **asyncio.run(beside(url, lines)), server_peak_mib=peak_of_children())


def peak_of_children() -> int:
    """Of the server, from the kernel's own account of the process."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if (status.parent / "stat").read_text().rsplit(")", 1)[1].split()[1] == str(os.getpid()):
                return (
                    int(
                        next(
                            line for line in status.read_text().splitlines() if line.startswith("VmHWM")
                        ).split()[1]
                    )
                    // 1024
                )
        except OSError:
            continue
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def report(**figures: Any) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    {"rate": rate, "memory": memory, "stream": stream}[sys.argv[1]]()
