"""What many requests and many rows would take, reckoned from what one replica was measured at."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from math import ceil

from docs.examples import ROOT

_MEASURED = ROOT / "bench" / "results" / "results.json"
CORES = 2  # of the replica that was measured
PLANNED = 0.6  # of its peak: beyond three quarters waiting grows faster than what is answered
SPARE = 1  # replicas more than needed, for the one that is gone or being replaced
CORE_HOUR = 0.04  # dollars for a core with 4 GiB, a usual price of a cloud on demand
HOURS = 730  # of a month
RATES = (1_000, 10_000, 100_000)  # requests a second
ROWS = 1_000_000_000
TEXT_ROWS_PER_S = 13_833  # of `encodery encode` to .npy on two cores: docs/bulk.md
ANSWER_BYTES = {"text": 2_300, "all-MiniLM-L6-v2": 2_300, "retail-user": 3_000}  # in base64, with HTTP
WORK = {
    "text": "text, 1 text, 32 callers",
    "retail-user": "retail-user, 1 user, 32 callers",
    "all-MiniLM-L6-v2": "all-MiniLM-L6-v2, 1 text, 32 callers",
}


def peak(row: str) -> float:
    """Requests, or texts, a second of a server that was asked for as many as it could answer."""
    rounds = json.loads(_MEASURED.read_text())["rounds"]
    found = [one["per_s"] for one in rounds if one["server"] == "encodery" and one["row"] == row]
    return float(statistics.median(found))


def requests_table() -> str:
    memory_mib = json.loads(_MEASURED.read_text())["memory_mib"]["encodery"]
    lines = [
        "| model | requests/s | of one replica | replicas | cores | memory | answers | a month |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for model, row in WORK.items():
        for rate in RATES:
            planned = PLANNED * peak(row)
            replicas = ceil(rate / planned) + SPARE
            cores, gib = replicas * CORES, replicas * memory_mib / 1024
            mbits = rate * ANSWER_BYTES[model] * 8 / 1e6
            lines.append(
                f"| `{model}` | {rate:,} | {planned:,.0f} | {replicas:,} | {cores:,} | {gib:,.0f} GiB "
                f"| {mbits:,.0f} Mbit/s | ${cores * CORE_HOUR * HOURS:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def rows_table() -> str:
    lines = [
        "| model | rows/s of two cores | core hours | on 64 cores | float32 vectors | cost |",
        "|---|---|---|---|---|---|",
    ]
    for model, per_s, dim in (
        ("text", TEXT_ROWS_PER_S, 384),
        ("all-MiniLM-L6-v2", peak("all-MiniLM-L6-v2, 32 texts, 4 callers"), 384),
    ):
        core_hours = ROWS / per_s * CORES / 3600
        lines.append(
            f"| `{model}` | {per_s:,.0f} | {core_hours:,.0f} | {core_hours / 64:,.1f} h "
            f"| {ROWS * dim * 4 / 1e12:.1f} TB | ${core_hours * CORE_HOUR:,.2f} |"
        )
    return "\n".join(lines) + "\n"


TABLES: Mapping[str, Callable[[], str]] = {"scale-requests": requests_table, "scale-rows": rows_table}
