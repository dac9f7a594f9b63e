"""Measures what a switch of versions costs those who ask meanwhile, and whether any answer is wrong.

    python3 dev.py bench --switch [--switches 200] [--processes 2]

Two versions of `text` that cost the same and are of different spaces: the second gives the first one's
vectors with the other sign. 32 callers ask at 80 % of what the server can do while one is made current after
the other; each answer is held to what its version must give. Twice: with one version in memory, so that every
switch proves and loads (`load`), and with both (`back`), as in a rollback.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import numpy.typing as npt

from bench import texts
from bench.machine import described
from bench.servers import ROOT, Running, ours, running
from bench.switch_load import Plan, stop
from bench.switch_page import judged, page, plot
from bundle import Draft, Store, Text, publish, switch_current
from bundle.golden import Golden

MODEL = "text"
CALLERS, SHARE_OF_PEAK, COUNT = 32, 0.8, 256
PEAK_S, BEFORE_S, BETWEEN_S = 4.0, 8.0, 1.0
MODES = {"load": "1", "back": "2"}  # and how many versions are in memory


@dataclass(frozen=True)
class Switch:
    """One of them; seconds on the clock of the answers."""

    version: str
    asked_s: float
    done_s: float
    status: int
    private_mib: float


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    results: dict[str, Any] = {
        "machine": described(),
        "switches": options.switches,
        "processes": options.processes,
        "modes": {},
    }
    with tempfile.TemporaryDirectory() as name:
        models = Path(name) / "models"
        first, second = two_versions(models)
        for mode in MODES:
            switch_current(models, MODEL, first)
            found = _measure(models, [second, first], mode, options)
            results["modes"][mode] = found
            print(mode, json.dumps({key: one for key, one in found.items() if key != "seconds"}), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "switch.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "switch.md").write_text(page(results))
    plot(results, options.out / "switch.svg")
    print(page(results))


def two_versions(models: Path) -> tuple[str, str]:
    """The bundled version, and one of another space that costs the same."""
    import onnx
    from onnx import helper

    source = Store(ROOT / "models")
    contents = source.read(MODEL, source.current(MODEL))
    draft = Draft.of(contents)
    graph = onnx.load_from_string(draft.graph)
    output = graph.graph.output[0].name
    last = next(node for node in graph.graph.node if output in node.output)
    last.output[list(last.output).index(output)] = "before_sign"
    graph.graph.node.append(helper.make_node("Neg", ["before_sign"], [output]))
    golden = Golden.from_bytes(draft.golden)
    other = replace(
        draft,
        joins=None,
        graph=graph.SerializeToString(),
        golden=replace(golden, vectors=-golden.vectors).to_bytes(),
    )
    return publish(models, [draft])[0].version, publish(models, [other])[0].version


def _measure(models: Path, versions: Sequence[str], mode: str, options: argparse.Namespace) -> dict[str, Any]:
    server = ours(models, options.processes)
    variables = {**server.variables, "ENCODERY_VERSIONS_PER_MODEL": MODES[mode]}
    inputs = texts.texts(COUNT)
    oracle = oracle_of(models, inputs)
    log = Path(tempfile.gettempdir()) / f"encodery-switch-{mode}.log"
    with (
        running(replace(server, variables=variables), log) as found,
        tempfile.TemporaryDirectory() as name,
    ):
        work, plan = Path(name), Plan(found.port, inputs, CALLERS)
        for _ in range(2):  # the first warms it
            asking = plan.start(work, oracle)
            time.sleep(PEAK_S)
            peak = stop(asking, work)
        per_s = len(peak["done_s"]) / float(np.ptp(peak["done_s"]))
        asking = replace(plan, rate=SHARE_OF_PEAK * per_s).start(work, oracle)
        time.sleep(BEFORE_S)
        switches = [asdict(_switch(found, versions[turn % 2])) for turn in range(options.switches)]
        answers = stop(asking, work)
    return judged(answers, switches, int(versions[1])) | {"peak, answers per second": round(per_s)}


def _switch(server: Running, version: str) -> Switch:
    asked_s = time.monotonic()
    answer = httpx.put(
        f"{server.url}/models/{MODEL}/aliases/current",
        json={"version": version, "new_space": True},
        timeout=120,
        trust_env=False,
    )
    done_s = time.monotonic()
    time.sleep(BETWEEN_S)
    return Switch(version, asked_s, done_s, answer.status_code, server.private_mib())


def oracle_of(models: Path, inputs: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
    """What each version must give, [n, dim]."""
    store = Store(models)
    return {
        version: store.load(MODEL, version).encode([Text(one) for one in inputs])
        for version in store.versions(MODEL)
    }


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --switch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--switches", type=int, default=20, help="of each kind; 200 in the long form")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)
