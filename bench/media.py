"""Pictures and sounds: answers per CPU-second beside the bare decoder and forward pass, and beside others.

    python3 dev.py bench --media [--rounds 5] [--seconds 4] [--only image] [--out DIRECTORY]

Every server gets one file a request, base64 in JSON; ours gets its bytes as well. The ceiling is the bundle's
own decoder and onnxruntime, called from as many threads as there are cores, with the best of some sizes of a
batch and no server. Infinity has no model of pictures or sounds whose weights come without a hub.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import texts
from bench.load import Load
from bench.machine import described
from bench.measure import measured
from bench.media_files import jpegs, sounds
from bench.servers import COMPETITORS, ROOT, Running, Server, Unavailable, ours, python_of, running
from bundle import Store

COUNT, CALLERS, SHARE = 32, 8, 0.85  # files, sent in turn; callers; the share of the ceiling that is wanted
OURS, ONNXRUNTIME, FASTEMBED = "encodery", "onnxruntime behind FastAPI", "fastembed behind FastAPI"
BYTES = f"{OURS}, bytes"  # of the file, as the body


@dataclass(frozen=True)
class Workload:
    """A kind of file, sent to one model."""

    name: str
    model: str
    media_type: str
    files: Callable[[], list[bytes]]


WORKLOADS = (
    Workload("JPEG of 128 x 128", "image", "image/jpeg", partial(jpegs, COUNT, 128, 128)),
    Workload("JPEG of 1,024 x 768", "image", "image/jpeg", partial(jpegs, COUNT, 1024, 768)),
    Workload("FLAC of 3 s, 16 kHz", "audio", "audio/flac", partial(sounds, COUNT, 3.0)),
)


def main(arguments: Sequence[str]) -> None:
    """The command."""
    options = _options(arguments)
    results: dict[str, Any] = {"machine": described(), "skipped": {}, "rounds": [], "ceilings": []}
    workloads = [one for one in WORKLOADS if options.only in one.model]
    with ExitStack() as stack:
        servers = _started(stack, results["skipped"], {one.model for one in workloads})
        for number in range(options.rounds):
            for workload in workloads:
                for found in _round(workload, servers, options.seconds):
                    results[found.pop("part")].append({"round": number, "row": workload.name} | found)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "media.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "media.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --media", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="per measurement")
    parser.add_argument("--only", default="", help="models with this in their name")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _started(stack: ExitStack, skipped: dict[str, str], models: set[str]) -> dict[str, Mapping[str, Running]]:
    """The servers of each model by their names; ours is one for all."""
    work = Path(tempfile.gettempdir()) / "encodery-media"
    work.mkdir(exist_ok=True)
    mine = stack.enter_context(running(ours(ROOT / "models"), work / "encodery.log"))
    found = dict[str, Mapping[str, Running]]()
    for model in sorted(models):
        servers = {OURS: mine}
        for server in _competitors(model, work):
            try:
                servers[server.name] = stack.enter_context(running(server, work / f"{model}.log"))
            except Unavailable as reason:
                skipped[f"{server.name}, {model}"] = str(reason)
        found[model] = servers
    return found


def _competitors(model: str, work: Path) -> Iterator[Server]:
    script = str(COMPETITORS / "onnxruntime_media.py")
    yield Server(ONNXRUNTIME, lambda port: [sys.executable, script, str(port), str(ROOT / "models"), model])
    if model == "image":
        directory = _for_fastembed(work)
        own = str(COMPETITORS / "fastembed_image.py")
        yield Server(
            FASTEMBED,
            lambda port: [str(python_of("fastembed")), own, str(port), str(directory)],
            environment="fastembed",
        )


def _for_fastembed(work: Path) -> Path:
    """The bundle's own network, with what stands before it in fastembed: float pixels [n, 3, side, side]."""
    import onnx
    from onnx import TensorProto, helper

    store = Store(ROOT / "models")
    encoder = store.load("image")
    [pixels] = encoder.preprocessor.input_names
    side = encoder.prepare(encoder.read(jpegs(1, 64, 64)))[0].arrays[pixels].shape[0]
    graph = onnx.load(ROOT / "models" / "image" / store.current("image") / "model.onnx")
    [taken] = graph.graph.input
    graph.graph.input.remove(taken)
    graph.graph.input.append(
        helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, side, side])
    )
    graph.graph.initializer.append(helper.make_tensor("white", TensorProto.FLOAT, [], [255.0]))
    nodes = [
        helper.make_node("Mul", ["pixel_values", "white"], ["scaled"]),
        helper.make_node("Round", ["scaled"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["bytes"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["bytes"], [taken.name], perm=[0, 2, 3, 1]),
    ]
    for place, node in enumerate(nodes):
        graph.graph.node.insert(place, node)
    directory = work / "fastembed"
    directory.mkdir(exist_ok=True)
    onnx.save(graph, directory / "model.onnx")
    steps = {"do_resize": True, "size": {"shortest_edge": side}, "resample": 3}
    steps |= {"do_center_crop": True, "crop_size": {"height": side, "width": side}}
    steps |= {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False}
    content = {"image_processor_type": "CLIPImageProcessor"} | steps
    (directory / "preprocessor_config.json").write_text(json.dumps(content))
    return directory


def _round(
    workload: Workload, servers: Mapping[str, Mapping[str, Running]], seconds: float
) -> Iterator[dict[str, Any]]:
    """The ceiling, and every server."""
    contents = workload.files()
    files = [base64.b64encode(one).decode() for one in contents]
    asked: dict[str, Any] = {
        "what": "media",
        "models": str(ROOT / "models"),
        "model": workload.model,
        "files": files,
    }
    asked |= {"workers": len(os.sched_getaffinity(0)), "seconds": seconds}
    done = subprocess.run(
        [sys.executable, "-m", "bench.raw"],
        input=json.dumps(asked).encode(),
        capture_output=True,
        cwd=ROOT,
        check=True,
    )
    ceiling = json.loads(done.stdout)
    yield {"part": "ceilings"} | ceiling
    bodies = texts.bodies(files, 1, model=workload.model, encoding="base64")
    whole = f"/encode?model={workload.model}&encoding=base64", contents, workload.media_type
    started = servers[workload.model]
    loads = {name: (started[name], ("/encode", bodies, "application/json")) for name in started}
    for name, (server, (path, sent, media_type)) in (loads | {BYTES: (started[OURS], whole)}).items():
        load = Load("127.0.0.1", server.port, path, sent, CALLERS, seconds=seconds, media_type=media_type)
        found = measured(load, server)
        assert set(found["statuses"]) == {"200"}, found["statuses"]
        print(f"{workload.name:24} {name:28} {found['per_cpu_s'] / ceiling['per_cpu_s']:.2f}", flush=True)
        yield {"part": "rounds", "server": name, "bytes": len(sent[0])} | found


def page(results: Mapping[str, Any]) -> str:
    """The table."""
    machine, ceilings = results["machine"], results["ceilings"]
    rounds = 1 + max(one["round"] for one in ceilings)
    others = statistics.median(one["others_cores"] for one in results["rounds"])
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}; "
        f"medians of {rounds} interleaved rounds, {CALLERS} callers; {SHARE} of the ceiling is wanted; other "
        f"processes used {others:.1f} cores meanwhile (median).",
        "",
        "| one a request | server | answers/s | per CPU-second | of the ceiling | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in dict.fromkeys(one["row"] for one in ceilings):
        alone = [one for one in ceilings if one["row"] == row]
        policy = statistics.mode(one["policy"] for one in alone)
        rates = " | ".join(f"{_median(alone, key):.0f}" for key in ("per_s", "per_cpu_s"))
        lines.append(f"| {row} | no server, {policy} | {rates} | 1 | | |")
        for name in dict.fromkeys(one["server"] for one in results["rounds"] if one["row"] == row):
            runs = [one for one in results["rounds"] if (one["row"], one["server"]) == (row, name)]
            lines.append(f"| {row} | {name} | {_row(runs, alone)} |")
    lines += [f"- Skipped: {name}: {reason}." for name, reason in results["skipped"].items()]
    return "\n".join(lines) + "\n"


def _row(runs: Sequence[Mapping[str, Any]], alone: Sequence[Mapping[str, Any]]) -> str:
    """Figures of a server; its share of the ceiling is the median of the shares within rounds."""
    ceiling = {one["round"]: one["per_cpu_s"] for one in alone}
    share = statistics.median(one["per_cpu_s"] / ceiling[one["round"]] for one in runs)
    p50, p99 = (statistics.median(one["latency_ms"][key] for one in runs) for key in ("p50", "p99"))
    rates = f"{_median(runs, 'per_s'):.0f} | {_median(runs, 'per_cpu_s'):.0f}"
    return f"{rates} | {share:.2f} | {p50:.1f} | {p99:.1f}"


def _median(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(statistics.median(one[key] for one in runs))
