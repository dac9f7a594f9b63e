"""Measures one load, from a process of its own, and what the server and the machine used meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.load import Load, LoadResult
from bench.servers import ROOT, Running


def measured(load: Load, server: Running, per_request: int = 1) -> dict[str, Any]:
    """Send the load; return rates, latencies and CPU time."""
    cpu_s, started_s, stolen_s = server.cpu_s(), time.monotonic(), _others_cpu_s(server)
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=load.to_json(), capture_output=True, cwd=ROOT, check=True
    )
    wall_s, used_s = time.monotonic() - started_s, server.cpu_s() - cpu_s
    found = LoadResult(**json.loads(done.stdout))
    assert used_s > 0, "another process answered"
    share = found.seconds / (found.seconds + load.warm_s)  # of the CPU time: the counted part
    return {
        "per_s": found.done * per_request / found.seconds,
        "per_cpu_s": found.done * per_request / (used_s * share),
        "server_cores": used_s / wall_s,
        "others_cores": (_others_cpu_s(server) - stolen_s - found.client_cpu_s) / wall_s,
        "client_cores": found.client_cpu_s / wall_s,
        "latency_ms": found.latency_ms,
        "refused_ms": found.refused_ms,
        "offered": found.offered,
        "sent_late_ms": found.sent_late_ms,
        "statuses": found.statuses,
        "broken": found.broken,
        "late": found.late,
        "by_second": found.by_second,
        "answer_bytes": found.answer_bytes,
    }


def _others_cpu_s(server: Running) -> float:
    """Return the CPU time of the whole machine less the server's: what ran beside it."""
    fields = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]))
    busy = sum(fields[:3]) + sum(fields[5:8])  # user, nice, system; irq, softirq, steal
    return busy / os.sysconf("SC_CLK_TCK") - server.cpu_s()
