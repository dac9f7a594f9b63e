"""Measures this checkout beside another one, in turns: what a change costs or gains.

    git worktree add ../before COMMIT
    python3 dev.py bench --versions ../before [--turns 10] [--seconds 2]

Both servers run from this environment, with this checkout's bundles, and get the same requests. They take
turns, and the first of a turn changes, so that a machine that does other things as well disturbs both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import texts
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.servers import ROOT, Running, ours, running
from bench.workloads import TRANSFORMER, WORKLOADS, Workload

COUNT = 512  # inputs, sent in turn
BAR = 0.98  # of the other's answers per CPU-second


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    models, before = ROOT / "models", options.before.resolve()
    workloads = [one for one in WORKLOADS if one.model != TRANSFORMER]
    results: dict[str, Any] = {"machine": described(), "before": _commit(before), "rows": {}}
    with ExitStack() as stack:
        servers = {}
        for name, directory in (("before", before), ("now", ROOT)):
            server, log = replace(ours(models), directory=directory), f"encodery-{name}.log"
            servers[name] = stack.enter_context(running(server, Path(tempfile.gettempdir()) / log))
        for workload in workloads:
            turns = _turns(workload, servers, models, options)
            results["rows"][workload.name] = turns
            print(workload.name, json.dumps(turns), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "versions.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "versions.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --versions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", type=Path, help="the other checkout")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="per measurement")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _turns(
    workload: Workload, servers: Mapping[str, Running], models: Path, options: argparse.Namespace
) -> list[dict[str, float]]:
    """Return inputs per CPU-second of each server, by turn."""
    users = workload.model == "retail-user"
    inputs: Sequence[object] = texts.users(COUNT, texts.items(models)) if users else texts.texts(COUNT)
    bodies = texts.bodies(inputs, workload.per_request, model=workload.model, encoding="base64")
    found = []
    for number in range(options.turns):
        rates = {}
        for name in sorted(servers, reverse=number % 2 == 1):
            port = servers[name].port
            load = Load("127.0.0.1", port, "/encode", bodies, workload.callers, seconds=options.seconds)
            answered = measured(load, servers[name], workload.per_request)
            assert set(answered["statuses"]) == {"200"}, f"{name}: {answered['statuses']}"
            rates[name] = round(answered["per_cpu_s"], 1)
        found.append(rates)
    return found


def page(results: Mapping[str, Any]) -> str:
    """Write the table."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}` beside "
        f"`{results['before']}`, {machine['date']}. Inputs per CPU-second of the server, in turns.",
        "",
        f"| workload | before | now | medians | turn by turn (bar: {BAR}) | turns from, to |",
        "|---|---|---|---|---|---|",
    ]
    for name, turns in results["rows"].items():
        before, now = (statistics.median(one[key] for one in turns) for key in ("before", "now"))
        ratios = [one["now"] / one["before"] for one in turns]
        lines.append(
            f"| {name} | {before:.0f} | {now:.0f} | {now / before:.2f} | {statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f}, {max(ratios):.2f} |"
        )
    return "\n".join(lines) + "\n"
