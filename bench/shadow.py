"""Measures what a version in the shadow costs those who ask meanwhile.

    python -m bench.shadow [--turns 10] [--processes 1]

The two versions of `bench.switch`, both loaded; 32 callers ask at half of what the server can do, in turns
with the second version in the shadow of the first and without. Told are the medians of the turns, and the
ratio of each turn with a shadow to the one without beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import httpx2 as httpx
import numpy as np

from bench import texts
from bench.machine import described
from bench.servers import Running, ours, running
from bench.switch import CALLERS, COUNT, MODEL, oracle_of, two_versions
from bench.switch_load import Plan, stop
from bundle import switch_current

PEAK_S, TURN_S, SHARE_OF_PEAK = 4.0, 8.0, 0.5


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.shadow",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--turns", type=int, default=10, help="with a shadow, and as many without")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        models = Path(name) / "models"
        first, second = two_versions(models)
        switch_current(models, MODEL, first)
        server = ours(models, options.processes)
        log = Path(tempfile.gettempdir()) / "encodery-shadow.log"
        with running(server, log) as found:
            _compare(found, models, second, options.turns)


def _compare(server: Running, models: Path, second: str, turns: int) -> None:
    inputs = texts.texts(COUNT)
    oracle, plan = oracle_of(models, inputs), Plan(server.port, inputs, CALLERS)
    with tempfile.TemporaryDirectory() as name:
        work, p99, p50 = Path(name), dict[bool, list[float]](), dict[bool, list[float]]()

        def measured(one: Plan, seconds: float) -> tuple[float, float, float]:
            asking = one.start(work, oracle)
            time.sleep(seconds)
            answers = stop(asking, work)
            ms = 1e3 * (answers["done_s"] - answers["sent_s"])
            return len(ms) / float(np.ptp(answers["done_s"])), *np.percentile(ms, [50, 99])

        for _ in range(2):  # the first warms it
            per_s, _, _ = measured(plan, PEAK_S)
        half = replace(plan, rate=SHARE_OF_PEAK * per_s)
        for turn in range(2 * turns):
            is_shadowed = turn % 4 in (1, 2)  # without, with, with, without
            _set_shadow(server, second if is_shadowed else None)
            _, low, high = measured(half, TURN_S)
            p50.setdefault(is_shadowed, []).append(low)
            p99.setdefault(is_shadowed, []).append(high)
    ratios = [with_ / without for with_, without in zip(p99[True], p99[False], strict=True)]
    print(described())
    print(f"{per_s:.0f} answers per second at most; {SHARE_OF_PEAK:.0%} of that asked for")
    for what, found in (("p50", p50), ("p99", p99)):
        print(f"{what}: {median(found[False]):.1f} ms without, {median(found[True]):.1f} ms with a shadow")
    print(f"p99, with by without, {turns} pairs: median {median(ratios):.2f}, {_written(ratios)}")
    print(_compared(server))


def _written(ratios: Sequence[float]) -> str:
    return " ".join(f"{ratio:.2f}" for ratio in sorted(ratios))


def _set_shadow(server: Running, version: str | None) -> None:
    url = f"{server.url}/models/{MODEL}/aliases/shadow"
    if version is None:
        httpx.delete(url, timeout=120, trust_env=False)  # which may be there or not
    else:
        httpx.put(url, json={"version": version}, timeout=120, trust_env=False).raise_for_status()


def _compared(server: Running) -> str:
    """What became of the inputs that were offered to the shadow."""
    lines = httpx.get(f"{server.url}/metrics", trust_env=False).text.splitlines()
    return "\n".join(line for line in lines if line.startswith("encodery_shadow_"))


if __name__ == "__main__":
    main()
