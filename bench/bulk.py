"""Measures bulk work: `encodery encode` beside the bare encoder, and a stream beside single requests.

    python -m bench.bulk rate       rows/s of the encoder alone, of the command, and at a server
    python -m bench.bulk memory     peak memory of the command at 10,000 to 1,000,000 rows
    python -m bench.bulk stream     p50 and p99 of single requests, idle and beside a stream; memory

Texts are those of `bench`: English words, 5 to 60 of them, log-normal. One JSON line per figure. Whatever
is large runs in a process of its own: a child's peak memory is never less than its parent's at the start.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from bench.load import Load, LoadResult
from bench.servers import ROOT, Running, ours, running
from bench.texts import bodies, texts

ROUNDS, SECONDS, SINGLES_PER_S = 3, 8.0, 100.0
DISTINCT, BLOCK = 20_000, 64  # texts of a stream before they come again; lines of one write


def serving() -> AbstractContextManager[Running]:
    """Run our server with the bundled models."""
    return running(ours(ROOT / "models"), Path(tempfile.gettempdir()) / "encodery-bulk.log")


def rate(rows: int = 50_000) -> None:
    """Measure rows per second."""
    done = subprocess.run([*_self("alone"), str(rows)], cwd=ROOT, capture_output=True, check=True)
    report(what="encoder alone", **json.loads(done.stdout))
    for output in ("out.npy", "out.parquet", "out.jsonl"):
        report(what=f"encodery encode, {output}", **encode(rows, output))
    with serving() as server:
        report(what="encodery encode --url, out.npy", **encode(rows, "out.npy", "--url", server.url))


def alone(rows: str) -> None:
    """Measure the encoder on all cores, with nothing around it."""
    from bundle import Store, Text
    from bundle.encoder import BATCH_COST, batches

    encoder = Store(ROOT / "models").load("text")
    inputs = [Text(text) for text in texts(int(rows))]
    started = time.perf_counter()
    prepared = encoder.prepare(inputs, "end")
    prepare_s = time.perf_counter() - started
    groups = list(batches([one.cost for one in prepared], BATCH_COST))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started = time.perf_counter()
        list(pool.map(lambda group: encoder.run([prepared[row] for row in group]), groups))
        run_s = time.perf_counter() - started
    report(
        rows=int(rows),
        rows_per_s=round(int(rows) / (prepare_s + run_s)),
        forward_only=round(int(rows) / run_s),
    )


def memory() -> None:
    """Measure peak memory; of short texts, since it is the number of rows that must not count."""
    for rows in (10_000, 50_000, 200_000, 1_000_000):
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


def stream() -> None:
    """Measure single requests at an even rate, alone and beside a stream, in turns; medians over the rounds.

    The bar: p99 beside the stream is at most twice that of the idle server, and one batch.
    """
    with serving() as server:
        url = server.url
        singles(url, 2.0)  # warm
        server_idle = server.peak_mib()
        found: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            idle = singles(url, SECONDS)
            before = forward_passes(url)
            with streaming(url) as ended:
                time.sleep(1.0)
                busy = singles(url, SECONDS)
            batches, batch_s = (after - then for after, then in zip(forward_passes(url), before, strict=True))
            figures = {
                **{f"idle_{name}_ms": idle.latency_ms[name] for name in ("p50", "p99")},
                **{f"busy_{name}_ms": busy.latency_ms[name] for name in ("p50", "p99")},
                "batch_ms": 1e3 * batch_s / batches,
                "lines_per_s": ended["lines_per_s"],
            }
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
        server_peak = server.peak_mib()
    middle = {name: round(median(values), 2) for name, values in found.items()}
    bar = 2 * middle["idle_p99_ms"] + middle["batch_ms"]
    report(what="stream", **middle, bar_ms=round(bar, 2), within=middle["busy_p99_ms"] <= bar,
           busy_p99_ms_of_rounds=[round(one, 2) for one in found["busy_p99_ms"]],
           server_idle_mib=server_idle,
        server_peak_mib=server_peak)  # fmt: skip


def singles(url: str, seconds: float) -> LoadResult:
    """Send single requests at random times, from a process of their own."""
    parts = urlsplit(url)
    load = Load(
        str(parts.hostname), int(parts.port or 80), "/encode", bodies(texts(2000, seed=1), 1),
        rate=SINGLES_PER_S, seconds=seconds,
    )  # fmt: skip
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=load.to_json(), capture_output=True, cwd=ROOT, check=True)
    result = LoadResult(**json.loads(done.stdout))
    assert (set(result.statuses), result.broken) == ({"200"}, 0), result
    return result


@contextmanager
def streaming(url: str) -> Iterator[dict[str, float]]:
    """Stream from a process of its own; what it did is there afterwards."""
    process = subprocess.Popen([*_self("send"), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    ended: dict[str, float] = {}
    try:
        yield ended
    finally:
        out, _ = process.communicate(timeout=60)  # the end of its input ends the stream
        ended |= json.loads(out)


def send(url: str) -> None:
    """Stream lines until standard input ends, and count the answers."""
    lines = [json.dumps(text).encode() + b"\n" for text in texts(DISTINCT)]
    blocks = [b"".join(lines[start : start + BLOCK]) for start in range(0, DISTINCT, BLOCK)]
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.putrequest("POST", "/encode?encoding=base64")
    connection.putheader("Content-Type", "application/x-ndjson")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    def write() -> None:
        number = 0
        while not over.is_set():
            block = blocks[number % len(blocks)]
            connection.send(b"%x\r\n%b\r\n" % (len(block), block))
            number += 1
        connection.send(b"0\r\n\r\n")

    started = time.perf_counter()
    for each in (wait, write):
        threading.Thread(target=each, daemon=True).start()
    response, answered, last = connection.getresponse(), 0, b""
    while block := response.read1(1 << 18):
        answered += block.count(b"\n")
        last = block[-200:]
    assert b'"done":true' in last, last
    seconds = time.perf_counter() - started
    report(lines=answered - 1, lines_per_s=round((answered - 1) / seconds))


def forward_passes(url: str) -> tuple[float, float]:
    """Read how many there were, and the seconds that they took in all, from the server's metrics."""
    with urllib.request.urlopen(f"{url}/metrics") as response:
        lines = response.read().decode().splitlines()
    found = [
        sum(float(line.split()[-1]) for line in lines if line.startswith(f"encodery_run_seconds_{name}"))
        for name in ("count", "sum")
    ]
    return found[0], found[1]


def report(**figures: Any) -> None:
    """Print one line of figures."""
    print(json.dumps(figures), flush=True)


def _self(command: str) -> list[str]:
    return [sys.executable, "-m", "bench.bulk", command]


COMMANDS: dict[str, Callable[..., None]] = {
    "rate": rate,
    "memory": memory,
    "stream": stream,
    "alone": alone,
    "send": send,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])
