"""Measures replicas behind nginx while they are replaced one after another, and while one is killed.

    python3 dev.py bench --replicas [--updates 10] [--kills 5] [--parts peak,updates,kills,caches]

Three replicas of `text`, a process with one thread each, behind nginx as deploy/nginx has it; every answer is
held to the vector that it must be. An update ends each replica (SIGTERM, drain, exit) and starts it again,
one after another. A kill is `kill -9`, and a start 2 s later. For the caches each replica may keep a part of
the texts, which come by a Zipf law: with least_conn each keeps its own copies, with affinity its own part.
Results of the parts that are not asked for stay; --more adds updates and kills to those that are there.

Needs nginx: Debian's nginx-light.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench import texts
from bench.machine import described
from bench.proxy import proxied
from bench.replicas_page import page, spanned
from bench.servers import ROOT, START_S, answers, free_port, ours
from bench.switch import oracle_of
from bench.switch_load import Plan, stop

MODEL, COUNT, CALLERS = "text", 256, 16
REPLICAS, KILLED_S, CALM_S, PEAK_S = 3, 2.0, 2.0, 5.0
ZIPF, TEXTS, DRAWN, CACHE_BYTES, CACHES_S = 0.8, 10_000, 60_000, 4 * 2**20, 12.0


@dataclass
class Replica:
    """One server on a port of its own, which is started again and again."""

    models: Path
    work: Path
    variables: Mapping[str, str]
    port: int = field(default_factory=free_port)

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        environment = {
            "ENCODERY_LOG_LEVEL": "warning",
            "ENCODERY_CACHE_DIR": str(self.work / "cache"),
            "ENCODERY_THREADS": "1",
            **self.variables,
        }
        with (self.work / f"{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                ours(self.models).command(self.port), cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        until_s = time.monotonic() + START_S
        while not answers(self.port, "/health/ready"):
            if self.process.poll() is not None or time.monotonic() > until_s:
                raise SystemExit(f"a replica did not start: {(self.work / f'{self.port}.log').read_text()}")
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send it that signal, and wait until it is gone."""
        self.process.send_signal(number)
        self.process.wait()

    def counted(self, name: str) -> float:
        """Read a counter of its metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name}_total{{"))


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    kept = options.out / "replicas.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for part in options.parts.split(","):
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            shutil.copytree(ROOT / "models" / MODEL, work / "models" / MODEL)
            found = PARTS[part](work, options)
        if options.more and isinstance(found, list):
            found = results.get(part, []) + found
        results |= {"machine": described(), "rate": options.rate, "drain_s": options.drain, part: found}
        options.out.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "replicas.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --replicas",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rate", type=float, default=400.0, help="requests per second")
    parser.add_argument("--drain", type=float, default=1.0, help="ENCODERY_DRAIN_DELAY_S")
    parser.add_argument("--parts", default=",".join(PARTS), help="of the measurement, with commas")
    parser.add_argument("--more", action="store_true", help="keep the updates and kills that are there")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts.split(",")) - set(PARTS):
        parser.error(f"--parts are {', '.join(PARTS)}; not {', '.join(sorted(unknown))}")
    return options


def _peak(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """How much they can do, all three and nginx on this machine."""
    inputs = texts.texts(COUNT)
    with _behind_nginx(work, {}) as (_, port):
        for _ in range(2):  # the first warms it
            found, _ = _asked(work, Plan(port, inputs, CALLERS), lambda: time.sleep(PEAK_S))
        return spanned(found, float(found["sent_s"].min()), float(found["done_s"].max()))


def _updates(work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Replace all replicas, again and again."""

    def replace(replicas: Sequence[Replica], _: int) -> None:
        for one in replicas:
            one.end()
            one.start()

    return _disturbed(work, options, replace, options.updates)


def _kills(work: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Kill one replica after another."""

    def kill(replicas: Sequence[Replica], turn: int) -> None:
        victim = replicas[turn % len(replicas)]
        victim.end(signal.SIGKILL)
        time.sleep(KILLED_S)
        victim.start()

    return _disturbed(work, options, kill, options.kills)


def _disturbed(
    work: Path,
    options: argparse.Namespace,
    disturb: Callable[[Sequence[Replica], int], None],
    turns: int,
) -> list[dict[str, Any]]:
    """What callers saw before, in and after each turn."""
    variables = {"ENCODERY_DRAIN_DELAY_S": str(options.drain)}
    moments: list[float] = []

    def all_turns() -> None:
        time.sleep(CALM_S)  # warm it
        for turn in range(turns):
            moments.append(time.monotonic())
            time.sleep(CALM_S)
            moments.append(time.monotonic())
            disturb(replicas, turn)
            moments.append(time.monotonic())
            time.sleep(CALM_S)
            moments.append(time.monotonic())

    with _behind_nginx(work, variables) as (replicas, port):
        plan = Plan(port, texts.texts(COUNT), CALLERS, options.rate)
        found, _ = _asked(work, plan, all_turns)
    quarters = (moments[4 * turn : 4 * turn + 4] for turn in range(turns))
    return [
        {
            name: spanned(found, *pair)
            for name, pair in zip(("before", "in", "after"), pairwise(four), strict=True)
        }
        for four in quarters
    ]


def _caches(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The share of texts that a cache answered, and how many were, with and without affinity."""
    drawn, found = zipf(TEXTS, DRAWN), {}
    distinct = texts.texts(TEXTS)
    inputs = [distinct[one] for one in drawn]
    variables = {"ENCODERY_RESULT_CACHE_BYTES": str(CACHE_BYTES)}
    for name, count in (("one replica", 1), ("least_conn", REPLICAS), ("affinity", REPLICAS)):
        with _behind_nginx(work, variables, count, affinity=name == "affinity") as (replicas, port):
            counts: list[tuple[float, float]] = []

            def counted(replicas: Sequence[Replica] = replicas, counts: Any = counts) -> None:
                for _ in range(2):  # the first fills the caches
                    time.sleep(CACHES_S)
                    counts.append(
                        (
                            sum(one.counted("encodery_cached_items") for one in replicas),
                            sum(one.counted("encodery_items") for one in replicas),
                        )
                    )

            seen, ended_s = _asked(work, Plan(port, inputs, CALLERS), counted)
            (cached, items), (last_cached, last_items) = counts
            found[name] = spanned(seen, ended_s - CACHES_S, ended_s) | {
                "hit_rate": (last_cached - cached) / (last_items - items)
            }
    return found


def zipf(count: int, drawn: int, exponent: float = ZIPF, seed: int = 0) -> list[int]:
    """Draw numbers below `count`, the k-th likely as 1 / k ** exponent."""
    chances = 1.0 / np.arange(1, count + 1) ** exponent
    generator = np.random.default_rng(seed)
    return [int(one) for one in generator.choice(count, drawn, p=chances / chances.sum())]


@contextmanager
def _behind_nginx(
    work: Path, variables: Mapping[str, str], count: int = REPLICAS, *, affinity: bool = False
) -> Iterator[tuple[Sequence[Replica], int]]:
    """Replicas that are ready, and the port of nginx before them."""
    replicas = [Replica(work / "models", work, variables) for _ in range(count)]
    with ExitStack() as stack:
        for one in replicas:
            one.start()
            stack.callback(one.end, signal.SIGKILL)
        yield replicas, stack.enter_context(proxied([one.port for one in replicas], work, affinity=affinity))


def _asked(work: Path, plan: Plan, while_asking: Callable[[], None]) -> tuple[dict[str, Any], float]:
    """What the callers saw meanwhile, and when that was over."""
    asking = plan.start(work, oracle_of(work / "models", plan.inputs))
    try:
        while_asking()
        ended_s = time.monotonic()
    except BaseException:
        asking.kill()
        raise
    return stop(asking, work), ended_s


PARTS: Mapping[str, Callable[[Path, argparse.Namespace], Any]] = {
    "peak": _peak,
    "updates": _updates,
    "kills": _kills,
    "caches": _caches,
}

if __name__ == "__main__":
    main(sys.argv[1:])
