"""Judges what `bench.replicas` saw, and writes its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SAME = 1e-4  # float32 by other batches


def spanned(answers: Mapping[str, npt.NDArray[np.float64]], begin_s: float, end_s: float) -> dict[str, Any]:
    """Sum up the requests that were due in a span of time.

    Returns:
        seconds, requests, failed (all but a 200 with the right vector), p50_ms and p99_ms of the 200s.
    """
    rows = (answers["sent_s"] >= begin_s) & (answers["sent_s"] < end_s)
    ok = rows & (answers["status"] == 200) & (answers["off"] <= SAME)
    ms = 1e3 * (answers["done_s"] - answers["sent_s"])[ok]
    p50, p99 = np.percentile(ms, (50, 99)) if ok.any() else (float("nan"),) * 2
    return {
        "seconds": end_s - begin_s,
        "requests": int(rows.sum()),
        "failed": int((rows & ~ok).sum()),
        "p50_ms": float(p50),
        "p99_ms": float(p99),
    }


def page(results: Mapping[str, Any]) -> str:
    """Write the tables of the parts that were measured."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores for all: three replicas, nginx and the callers; "
        f"commit `{machine['commit']}`, {machine['date']}.",
        "",
        "| when | turns | requests | failed | requests/s | p50 ms | p99 ms, median; most |",
        "|---|---|---|---|---|---|---|",
    ]
    if "peak" in results:
        lines.append(_row("as many as are answered", [results["peak"]]))
    for part, what in (("updates", "a rolling update"), ("kills", "a `kill -9`")):
        for when in ("before", "in", "after"):
            if found := results.get(part):
                lines.append(_row(f"{when} {what}", [turn[when] for turn in found]))
    if caches := results.get("caches"):
        lines += ["", "| replicas | from a cache | requests/s | p99 ms |", "|---|---|---|---|"]
        for name, one in caches.items():
            lines.append(
                f"| {name} | {one['hit_rate']:.3f} | {one['requests'] / one['seconds']:,.0f} "
                f"| {one['p99_ms']:.0f} |"
            )
    return "\n".join(lines) + "\n"


def _row(name: str, turns: Sequence[Mapping[str, Any]]) -> str:
    requests, seconds = (sum(one[key] for one in turns) for key in ("requests", "seconds"))
    p50 = np.median([one["p50_ms"] for one in turns])
    p99 = [one["p99_ms"] for one in turns]
    return (
        f"| {name} | {len(turns)} | {requests:,} | {sum(one['failed'] for one in turns)} "
        f"| {requests / seconds:,.0f} | {p50:.0f} | {np.median(p99):.0f}; {max(p99):.0f} |"
    )
