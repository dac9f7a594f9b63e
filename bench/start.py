"""Measures how soon a server answers: a first start of the bundled models, and a second one.

    python3 dev.py bench --start [--rounds 3] [--workers 1,2] [--out DIRECTORY]

With `text` alone and with all bundled models. The first start finds an empty ENCODERY_CACHE_DIR, so every
bundle is proven; the second finds what the first kept. Times count from before the process is made, as its
clients see them: they ask again and again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.machine import described
from bench.processes import cpu_s, tree_of
from bench.servers import ROOT, answers, free_port, ours

POLL_S, GIVE_UP_S = 0.01, 120.0
READY_S = {"first": 4.0, "second": 2.0}  # the targets
SERVED = {"`text`": ("text",), "all bundled": ()}
PARTS = {  # of a process, each with those before it
    "Python itself": "pass",
    "the server's modules": "import app.process.server",
}
LOADING = """
import sys, time
from pathlib import Path
from app.engine.loading import examples_of
from bundle import Execution, Store
from bundle.store import build
store = Store(Path(sys.argv[1]))
for name in store.names():
    began_s = time.process_time()
    contents = store.read(name, store.current(name))
    examples_of(build(contents, Execution(), is_proven=True))
    print(name, time.process_time() - began_s)
"""  # as the server loads what is proven, one after another


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    starts: list[dict[str, Any]] = []
    for number in range(options.rounds):
        for served, names in SERVED.items():
            for workers in map(int, options.workers.split(",")):
                with tempfile.TemporaryDirectory() as directory:
                    models = _models(Path(directory), names)
                    for which in READY_S:
                        found = _start(Path(directory) / "cache", workers, models)
                        found |= {"round": number, "served": served, "workers": workers, "start": which}
                        starts.append(found)
                        print(json.dumps(found), flush=True)
    results = {"machine": described(), "starts": starts, "parts": _parts()}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "start.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "start.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --start", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="1,2", help="processes, with commas")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _models(directory: Path, names: Sequence[str]) -> Path:
    """A directory of these models alone; without names, of all."""
    for name in names:
        shutil.copytree(ROOT / "models" / name, directory / "models" / name)
    return directory / "models" if names else ROOT / "models"


def _start(cache: Path, workers: int, models: Path) -> dict[str, Any]:
    """Start and end a server; seconds until it lived, was ready, and had all models; and its CPU time."""
    server, port = ours(models, workers), free_port()
    variables = {"ENCODERY_CACHE_DIR": str(cache), "ENCODERY_LOG_LEVEL": "warning", **server.variables}
    began_s = time.monotonic()
    process = subprocess.Popen(server.command(port), cwd=ROOT, env=_environment() | variables)
    try:
        found = {"live_s": _until(process, lambda: answers(port, "/health/live")) - began_s}
        found["ready_s"] = _until(process, lambda: answers(port, "/health/ready")) - began_s
        found["all_s"] = _until(process, lambda: _has_all(port)) - began_s
        found["cpu_s"] = sum(cpu_s(one) for one in tree_of(process.pid))
        # The pace is measured after that, in a child; it is kept, too.
        _until(process, lambda: len(tree_of(process.pid)) <= (workers + 1 if workers > 1 else 1))
        return {name: round(seconds, 3) for name, seconds in found.items()}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _has_all(port: int) -> bool:
    """Whether nothing loads any more."""
    models = (_asked(port, "/health") or {"models": []})["models"]
    return bool(models) and not any(model["loading"] for model in models)


def _parts() -> dict[str, float]:
    """CPU seconds of what a second start is made of."""
    found: dict[str, float] = {}
    for name, program in PARTS.items():
        found[name] = min(_cpu_s(program) for _ in range(3)) - sum(found.values())
    done = subprocess.run(
        [sys.executable, "-c", LOADING, ROOT / "models"],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    for line in done.stdout.splitlines():
        name, seconds = line.split()
        found[f"loading `{name}`"] = float(seconds)
    return found


def _cpu_s(program: str) -> float:
    """CPU seconds of a Python that runs it."""
    before = os.times()
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=_environment(), check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


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
    """Write the tables."""
    machine, starts = results["machine"], results["starts"]
    rounds = 1 + max(one["round"] for one in starts)
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}. "
        f"Seconds from the start of the process, medians of {rounds}, and the most; ready is wanted in "
        f"{READY_S['first']:g} s, and in {READY_S['second']:g} s the second time.",
        "",
        "| models | processes | start | lives | ready | has all | CPU time |",
        "|---|---|---|---|---|---|---|",
    ]
    for served, workers, which in dict.fromkeys(
        (one["served"], one["workers"], one["start"]) for one in starts
    ):
        mine = [
            one for one in starts if (one["served"], one["workers"], one["start"]) == (served, workers, which)
        ]
        cells = []
        for name in ("live_s", "ready_s", "all_s", "cpu_s"):
            seconds = [one[name] for one in mine]
            cells.append(f"{statistics.median(seconds):.2f}; {max(seconds):.2f}")
        lines.append(f"| {served} | {workers} | {which} | {' | '.join(cells)} |")
    lines += ["", "| of a second start | CPU seconds |", "|---|---|"]
    lines += [f"| {name} | {seconds:.2f} |" for name, seconds in results["parts"].items()]
    return "\n".join(lines) + "\n"
