"""Measures one server process beside several, in interleaved rounds: throughput, latency and memory.

python3 dev.py bench --workers [--rounds 5] [--seconds 3] [--counts 1,2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import texts
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.processes import private_mib, proportional_mib
from bench.servers import ROOT, Running, ours, running

COUNT = 512
ROWS = {  # name: model, inputs of a request, callers
    "`text`, 1 text, 32 callers": ("text", 1, 32),
    "`text`, 32 texts, 4 callers": ("text", 32, 4),
    "`retail-user`, 1 user, 32 callers": ("retail-user", 1, 32),
}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    models, counts = ROOT / "models", [int(one) for one in options.counts.split(",")]
    results: dict[str, Any] = {"machine": described(), "runs": [], "memory": []}
    with ExitStack() as stack:
        servers: dict[int, Running] = {}
        for count in counts:
            log = Path(tempfile.gettempdir()) / f"encodery-workers-{count}.log"
            servers[count] = stack.enter_context(running(ours(models, count), log))
        for number in range(options.rounds):
            for row in ROWS:
                for count, server in servers.items():
                    found = {"round": number, "row": row, "workers": count}
                    results["runs"].append(found | measured(_load(row, server, models, options), server))
        for count, server in servers.items():
            results["memory"] += [{"workers": count} | one for one in _memory(server, count)]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "workers.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "workers.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    parser.add_argument("--counts", default="1,2", help="of processes")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _load(row: str, server: Running, models: Path, options: argparse.Namespace) -> Load:
    model, per_request, callers = ROWS[row]
    inputs: Sequence[object] = texts.texts(COUNT)
    if model == "retail-user":
        inputs = texts.users(COUNT, texts.items(models))
    bodies = texts.bodies(inputs, per_request, model=model, encoding="base64")
    return Load("127.0.0.1", server.port, "/encode", bodies, callers, seconds=options.seconds)


def _memory(server: Running, count: int) -> list[dict[str, Any]]:
    first, *others = server.processes()
    names = ["server"] if count == 1 else ["supervisor", *(f"worker {one}" for one in range(len(others)))]
    return [
        {"process": name, "private_mib": private_mib(pid), "proportional_mib": proportional_mib(pid)}
        for name, pid in zip(names, [first, *others], strict=False)
    ]


def page(results: dict[str, Any]) -> str:
    """Write the tables."""
    machine, runs = results["machine"], results["runs"]
    rounds = 1 + max(one["round"] for one in runs)
    others = statistics.median(one["others_cores"] for one in runs)
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}; "
        f"medians of {rounds} interleaved rounds, {others:.1f} cores in use by others meanwhile.",
        "",
        "| work | workers | requests/s | per CPU-second | p50 ms | p99 ms | requests/s of one worker's |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        for count in dict.fromkeys(one["workers"] for one in runs):
            lines.append(_line(row, count, runs))
    lines += [
        "",
        "| workers | process | of its own, MiB | with its share of the rest, MiB |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one['workers']} | {one['process']} | {one['private_mib']:.0f} | {one['proportional_mib']:.0f} |"
        for one in results["memory"]
    ]
    return "\n".join(lines) + "\n"


def _line(row: str, count: int, runs: Sequence[dict[str, Any]]) -> str:
    mine = [one for one in runs if (one["row"], one["workers"]) == (row, count)]
    fewest = min(one["workers"] for one in runs)
    base = [one for one in runs if (one["row"], one["workers"]) == (row, fewest)]
    ratio = statistics.median(a["per_s"] / b["per_s"] for a, b in zip(mine, base, strict=True))

    def median(key: str) -> float:
        return float(statistics.median(one[key] for one in mine))

    p50, p99 = (statistics.median(one["latency_ms"][key] for one in mine) for key in ("p50", "p99"))
    return (
        f"| {row} | {count} | {median('per_s'):.0f} | {median('per_cpu_s'):.0f} | {p50:.1f} | {p99:.1f} | "
        f"{ratio:.2f} |"
    )
