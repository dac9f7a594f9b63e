"""Measures a long life: memory and throughput under mixed requests without end.

    python3 dev.py bench --soak [--requests 1000000] [--minutes 15]

One text, 32 texts, a user with a history, and requests that must be refused, in random order by 16 callers.
After a minute as warm-up come ten tenths, each with a load generator of its own. Memory is what the server's
processes have for themselves. Throughput is counted by the server's CPU time, too; and since a machine that
does other things as well changes even that, the old server takes turns with a new one at the end.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import texts
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.servers import ROOT, Running, ours, running

COUNT, CALLERS, TENTHS = 2000, 16, 10
RESERVE = 1.08  # of time, as the rate changes and the number is to be reached
TURNS, TURN_S = 9, 3.0
MOST_GROWTH_MIB, MOST_CHANGE = 64, 0.05
BAD = (
    b'{"inputs": ',
    b'{"inputs": 1}',
    b'{"inputs": []}',
    b'{"inputs": "a", "model": "nobody"}',
    b'{"inputs": "a", "space": "sp_other"}',
    b'{"inputs": "a", "unknown": true}',
    json.dumps({"inputs": "word " * 5000}).encode(),
    b'{"model": "retail-user", "inputs": {"history": 3}}',
)
MIX = {"one text": 0.6, "32 texts": 0.05, "one user": 0.25, "refused": 0.1}  # of requests


def bodies(models: Path, seed: int = 0) -> list[bytes]:
    """Mix requests in random order."""
    chance = random.Random(seed)
    several = texts.bodies(texts.texts(32 * 64), 32, model="text", encoding="base64")
    users = texts.bodies(texts.users(COUNT, texts.items(models)), 1, model="retail-user", encoding="base64")
    kinds: dict[str, Sequence[bytes]] = {
        "one text": texts.bodies(texts.texts(COUNT), 1, model="text"),
        "32 texts": several,
        "one user": users,
        "refused": BAD,
    }
    names = chance.choices(list(MIX), list(MIX.values()), k=COUNT)
    return [chance.choice(kinds[name]) for name in names]


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    models = ROOT / "models"
    log = Path(tempfile.gettempdir()) / "encodery-soak.log"
    results: dict[str, Any] = {"machine": described(), "mix": MIX, "tenths": []}
    with running(ours(models), log) as server:
        longest_s = 60 * options.minutes / (TENTHS + 1)
        _tenth(server, models, min(longest_s, 20.0))
        warm = results["warm_up"] = _tenth(server, models, min(longest_s, 40.0))
        seconds = min(longest_s, RESERVE * options.requests / TENTHS / warm["answers_per_s"])
        for number in range(TENTHS):
            results["tenths"].append(_tenth(server, models, seconds, seed=number))
            print(json.dumps(results["tenths"][-1]), flush=True)
        results["beside_new"] = list(_beside_new(server, models, log.with_suffix(".new.log")))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "soak.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "soak.md").write_text(page(results))
    print(page(results))


def _beside_new(old: Running, models: Path, log: Path) -> Iterator[float]:
    """Measure the old server's answers per CPU-second as a share of a new one's, in turns."""
    with running(ours(models), log) as new:
        _tenth(new, models, TURN_S)  # its warm-up
        for number in range(TURNS):
            rates = [_tenth(one, models, TURN_S, seed=number)["answers_per_cpu_s"] for one in (old, new)]
            yield rates[0] / rates[1]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=15.0, help="at most, all together")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _tenth(server: Running, models: Path, seconds: float, seed: int = 0) -> dict[str, Any]:
    requests = bodies(models, seed)
    load = Load("127.0.0.1", server.port, "/encode", requests, CALLERS, seconds=seconds, warm_s=0.2)
    found = measured(load, server)
    answers = sum(found["statuses"].values())
    return {
        "answers": answers,
        "answers_per_s": answers / seconds,
        "answers_per_cpu_s": found["per_cpu_s"] * answers / max(1, found["statuses"].get("200", 0)),
        "private_mib": server.private_mib(),
        "others_cores": found["others_cores"],
        "p99_ms": found["latency_ms"]["p99"],
        "statuses": found["statuses"],
        "broken": found["broken"],
    }


def page(results: dict[str, Any]) -> str:
    """Write the table and what it says."""
    machine, tenths, warm = results["machine"], results["tenths"], results["warm_up"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}.",
        "",
        "| tenth | answers | per second | per CPU-second | p99 ms | own memory, MiB | other cores in use |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in [("warm-up", warm), *((str(number + 1), one) for number, one in enumerate(tenths))]:
        lines.append(
            f"| {name} | {one['answers']} | {one['answers_per_s']:.0f} | {one['answers_per_cpu_s']:.0f} | "
            f"{one['p99_ms']:.0f} | {one['private_mib']:.0f} | {one['others_cores']:.1f} |"
        )
    growth = max(one["private_mib"] for one in tenths) - warm["private_mib"]
    by_cpu, by_clock = (
        tenths[-1][key] / tenths[0][key] - 1 for key in ("answers_per_cpu_s", "answers_per_s")
    )
    answers = sum(one["answers"] for one in tenths)
    broken = sum(one["broken"] for one in tenths)
    statuses = sorted({status for one in tenths for status in one["statuses"]})
    lines += [
        "",
        f"{answers} answers after the warm-up ({', '.join(statuses)}), {broken} connections broken. "
        f"Memory grew by {growth:.0f} MiB (bar: {MOST_GROWTH_MIB}). "
        f"The last tenth was {100 * by_cpu:+.1f} % of the first by CPU time, {100 * by_clock:+.1f} % by the "
        f"clock (bar: within {100 * MOST_CHANGE:.0f} %). In turns with a new server, the old one gave "
        f"{statistics.median(results['beside_new']):.2f} of its answers per CPU-second (median of {TURNS}).",
    ]
    return "\n".join(lines) + "\n"
