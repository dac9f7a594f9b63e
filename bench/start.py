"""Measures how soon a server answers: a first start of the bundled models, and a second one.

    python3 dev.py bench --start [--rounds 5] [--out DIRECTORY]

The first start finds an empty ENCODERY_CACHE_DIR, so every bundle is proven; the second finds what the
first kept. Times count from before the process is made, as its clients see them: they ask again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.machine import described
from bench.processes import cpu_s, tree_of
from bench.servers import ROOT, free_port, ours

POLL_S, GIVE_UP_S = 0.01, 120.0
LIVE_S = 1.0  # the targets
ALL_S = {"first": 4.0, "second": 2.0}


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    starts: dict[str, list[dict[str, float]]] = {"first": [], "second": []}
    for number in range(1 + options.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for which, found in starts.items():
                seconds = _start(Path(cache), options.workers)
                if number:  # the start before compiles what was changed
                    found.append(seconds)
                    print(which, json.dumps(seconds), flush=True)
    results = {"machine": described(), "workers": options.workers, "starts": starts}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "start.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "start.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --start", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _start(cache: Path, workers: int) -> dict[str, float]:
    """Start and end a server; seconds until it lived, and until each model was there."""
    server, port = ours(ROOT / "models", workers), free_port()
    variables = {"ENCODERY_CACHE_DIR": str(cache), "ENCODERY_LOG_LEVEL": "warning", **server.variables}
    began_s = time.monotonic()
    process = subprocess.Popen(server.command(port), cwd=ROOT, env=_environment() | variables)
    try:
        found = {"live": _until(process, lambda: _asked(port, "/health/live") is not None) - began_s}
        found["live, CPU time"] = cpu_s(process.pid)  # which other work on the machine lengthens least
        while True:
            models = (_asked(port, "/health") or {"models": []})["models"]
            for model in models:
                if model["current"] in model["loaded"]:
                    found.setdefault(model["name"], time.monotonic() - began_s)
            if models and not any(model["loading"] for model in models):
                break
            time.sleep(POLL_S)
        found["all"] = time.monotonic() - began_s
        # The pace is measured after that, in a child; it is kept, too.
        _until(process, lambda: len(tree_of(process.pid)) <= (workers + 1 if workers > 1 else 1))
        return {name: round(seconds, 3) for name, seconds in found.items()}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _environment() -> dict[str, str]:
    """Ours, but Python may keep its bytecode, as it does by default and in the image."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _until(process: subprocess.Popen[bytes], is_so: Callable[[], bool]) -> float:
    """When it was so."""
    give_up_s = time.monotonic() + GIVE_UP_S
    while not is_so():
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < give_up_s, f"not within {GIVE_UP_S:.0f} s"
        time.sleep(POLL_S)
    return time.monotonic()


def _asked(port: int, path: str) -> Any:
    """The answer of 200; None for any other, or none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.load(answer)
    except OSError:
        return None


def page(results: Mapping[str, Any]) -> str:
    """Write the table."""
    machine, starts = results["machine"], results["starts"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}. "
        f"Seconds from the start of the process, medians of {len(starts['first'])}, and from, to.",
        "",
        "| | first start | second start |",
        "|---|---|---|",
    ]
    for name in starts["first"][0]:
        cells = []
        for which, found in starts.items():
            seconds = [one[name] for one in found]
            target = {"live": LIVE_S, "all": ALL_S[which]}.get(name)
            told = f" (target {target:g})" if target else ""
            cells.append(f"{statistics.median(seconds):.2f}; {min(seconds):.2f}, {max(seconds):.2f}{told}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
