"""Draws two pictures of an encoder: its rate by the size of a batch, and where a request's time goes.

    python3 dev.py bench --curves [--models text,text-small,minilm] [--models-dir models]

The parts of a request are timed by themselves, one after another in this process; what the server needs
beyond them (HTTP, the event loop, the queue, metrics) is the rest of its CPU time per request under load.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.api.inputs import within_limits
from app.api.requests import EncodeBody, json_inputs, parse
from app.api.vectors import to_json
from app.engine.queue import Budget
from app.settings import settings_from
from bench import texts
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.servers import ROOT, ours, running
from bundle import Encoder, Prepared, Store, Text, memory

COSTS = (16, 32, 64, 128, 256, 512, 1024, 2048)  # of a batch, in tokens
COUNT, REPEATS, CALLERS = 512, 3, 32
PARTS = ("read the request", "tokenise", "forward pass", "write the answer", "HTTP, queue and the rest")


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    memory.keep_freed()
    store = Store(options.models_dir)
    encoders = {name: store.load(name, store.current(name)) for name in options.models.split(",")}
    results = {
        "machine": described(),
        "sizes": {name: sizes(encoder) for name, encoder in encoders.items()},
        "parts": {name: parts(encoder, options) for name, encoder in encoders.items()},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "curves.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "curves.md").write_text(page(results))
    _plot_sizes(results, options.out / "sizes.svg")
    _plot_parts(results, options.out / "parts.svg")
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --curves",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", default="text,text-small", help="text encoders")
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def sizes(encoder: Encoder) -> dict[int, float]:
    """Measure texts per CPU-second by the most tokens of a batch, sorted by length, without tokenising."""
    prepared = sorted(_prepared(encoder), key=lambda one: one.cost)
    return {
        cost: COUNT / _cpu_s(lambda cost=cost: _run(encoder, prepared, cost))  # type: ignore[misc]
        for cost in COSTS
    }


def parts(encoder: Encoder, options: argparse.Namespace) -> dict[str, float]:
    """Measure microseconds of CPU per request of one text, by part."""
    name = encoder.manifest.name
    bodies = texts.bodies(texts.texts(COUNT), 1, model=name, encoding="base64")
    settings = settings_from()
    prepared = _prepared(encoder)
    vectors = encoder.run(prepared[:1])

    def read() -> None:
        for body in bodies:
            given = parse(body, EncodeBody)
            inputs = encoder.read(json_inputs(given.inputs, 0.0).values, 0.0)
            within_limits(inputs, encoder.kind, settings)

    def tokenise() -> None:
        for text in texts.texts(COUNT):
            encoder.prepare([Text(text)], "end")

    def write() -> None:
        for _ in bodies:
            to_json({"model": name, "warnings": []}, vectors, "base64")

    with running(ours(options.models_dir), Path(tempfile.gettempdir()) / "encodery-curves.log") as server:
        load = Load("127.0.0.1", server.port, "/encode", bodies, CALLERS, seconds=options.seconds)
        whole = 1e6 / measured(load, server)["per_cpu_s"]
    budget = 256  # what is measured at start is between 64 and 512
    found = [read, tokenise, lambda: _run(encoder, prepared, budget), write]
    timed = [1e6 * _cpu_s(part) / COUNT for part in found]
    return dict(zip(PARTS, [*timed, max(0.0, whole - sum(timed))], strict=True))


def _prepared(encoder: Encoder) -> list[Prepared]:
    return encoder.prepare([Text(text) for text in texts.texts(COUNT)], "end")


def _run(encoder: Encoder, prepared: Sequence[Prepared], cost: int) -> None:
    """Run all of them, in batches within that cost."""
    budget = Budget(cost, encoder.is_packed)
    batch: list[Prepared] = []
    for one in prepared:
        costs = [each.cost for each in (*batch, one)]
        if batch and not budget.holds(len(costs), sum(costs), max(costs)):
            encoder.run(batch)
            batch = []
        batch.append(one)
    encoder.run(batch)


def _cpu_s(work: Callable[[], None]) -> float:
    """Time the work several times; return the least."""
    found = []
    for _ in range(REPEATS):
        started_s = time.process_time()
        work()
        found.append(time.process_time() - started_s)
    return min(found)


def page(results: dict[str, Any]) -> str:
    """Write the tables behind the pictures."""
    machine = results["machine"]
    lines = [
        f"{machine['cpu']}, one thread, commit `{machine['commit']}`, {machine['date']}; "
        "texts per CPU-second of forward passes, by the most tokens of a batch:",
        "",
        f"| encoder | {' | '.join(map(str, COSTS))} |",
        f"|---|{'---|' * len(COSTS)}",
    ]
    for name, rates in results["sizes"].items():
        lines.append(f"| `{name}` | {' | '.join(f'{rate:.0f}' for rate in rates.values())} |")
    lines += [
        "",
        f"Microseconds of CPU per request of one text, {CALLERS} callers:",
        "",
        f"| encoder | {' | '.join(PARTS)} |",
        f"|---|{'---|' * len(PARTS)}",
    ]
    for name, found in results["parts"].items():
        lines.append(f"| `{name}` | {' | '.join(f'{found[part]:.0f}' for part in PARTS)} |")
    return "\n".join(lines) + "\n"


def _plot_sizes(results: dict[str, Any], path: Path) -> None:
    def draw(axes: Any) -> None:
        for name, rates in results["sizes"].items():
            best = max(rates.values())
            axes.plot(list(map(int, rates)), [rate / best for rate in rates.values()], "o-", label=name)
        axes.set(
            xscale="log", xlabel="most tokens of a batch", ylabel="share of the best rate", ylim=(0, 1.05)
        )
        axes.set_xticks(COSTS, list(map(str, COSTS)))
        axes.legend()

    _draw(path, draw, height=4.0)


def _plot_parts(results: dict[str, Any], path: Path) -> None:
    def draw(axes: Any) -> None:
        for number, part in enumerate(PARTS):
            for place, found in enumerate(results["parts"].values()):
                values = [found[one] / sum(found.values()) for one in PARTS]
                label = part if place == 0 else None
                axes.barh(place, values[number], left=sum(values[:number]), color=f"C{number}", label=label)
        axes.set(xlabel="share of a request's CPU time", xlim=(0, 1))
        axes.set_yticks(range(len(results["parts"])), list(results["parts"]))
        axes.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))

    _draw(path, draw, height=1.6 + 0.5 * len(results["parts"]))


def _draw(path: Path, draw: Callable[[Any], None], *, height: float) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, height))
    draw(axes)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
