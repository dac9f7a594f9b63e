"""Measures what an adapter is worth, what it costs, and whether a migration survives being killed.

    python -m bench.spaces adapt OLD NEW SET --models DIR
    python -m bench.spaces kills OLD NEW --models DIR
    python -m bench.spaces blocks OLD NEW --models DIR

SET is a directory in BEIR's form, for example MedQuAD; OLD and NEW are NAME@VERSION of DIR. Adapters are
fitted by the command's own code on documents that are then left out of the index, without questions or
labels, and judged by the set's questions. The table goes to bench/results/adapters.md. `kills` ends the
command by SIGKILL after random times, KILLS times in all, lets it go on each time, and compares every row at
the end. `blocks` compares one request for two spaces with two requests.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.servers import ours, running
from bench.texts import texts
from bundle import Encoder, Store
from bundle.neighbours import Floats, Relevant, kept, nearest, recall
from encodery.spaces.adapt import FitFiles, fit_adapter, publish_adapter
from encodery.spaces.apply import adapted
from encodery.spaces.reading import encode_file, load, read_labels

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
SIZES, LARGEST = (500, 1000, 2000), 2000
BATCH, ROUNDS = 4096, 20
BLOCK_ROUNDS, BLOCK_REQUESTS, JSON = 10, 100, {"Content-Type": "application/json"}
KILLS, KILLED_ROWS, LONGEST_S, SAME = 20, 20_000, 40.0, 1e-5


def adapt(arguments: argparse.Namespace) -> None:
    """Measure shares of a whole new index's recall, and the time of a vector."""
    store, data = Store(arguments.models), arguments.set
    lines = (data / "corpus.jsonl").read_text().splitlines()
    order = np.random.default_rng(0).permutation(len(lines))
    test = np.sort(order[LARGEST:])
    sides = []
    for reference in (arguments.old, arguments.new):
        encoder = load(store, reference)
        sides.append([encode_file(encoder, data / name) for name in ("queries.jsonl", "corpus.jsonl")])
    (old_queries, old), (queries, new) = sides
    new_test, old_test = new.at(test), old.at(test)
    relevant = read_labels(data / "qrels.tsv", queries, new_test)
    whole = nearest(queries.vectors, new_test.vectors)
    full = float(recall(whole, relevant).mean())
    stays = nearest(old_queries.vectors, old_test.vectors)
    rows = [("encoding again", "", full, 1.0, 1.0), _row("staying", "", stays, whole, (relevant, full))]
    for size in SIZES:
        encoder, method = _fitted(arguments, lines, order[:size])
        turned = adapted(encoder, old_test.vectors)
        found = nearest(queries.vectors, turned)
        rows.append(_row(f"{size:,} documents", method, found, whole, (relevant, full)))
        if size == 1000:
            half = np.where(np.arange(len(test))[:, None] % 2 == 0, turned, new_test.vectors)
            mixed = nearest(queries.vectors, half)
            rows.append(_row("the same, half of it encoded again", "", mixed, whole, (relevant, full)))
            micros = _micros(encoder, old.vectors)
    table = [
        "| index | fit | recall@10 | of encoding again | neighbours kept |",
        "|---|---|---|---|---|",
        *(f"| {a} | {b} | {c:.3f} | {d:.1%} | {e:.2f} |" for a, b, c, d, e in rows),
    ]
    text = "\n".join(
        [*table, "", f"A vector takes {micros:.1f} µs, in batches of {BATCH:,} on one core.", ""]
    )
    (RESULTS / "adapters.md").write_text(text)
    print(text)


def _fitted(arguments: argparse.Namespace, lines: Sequence[str], rows: Any) -> tuple[Encoder, str]:
    """An adapter that was fitted on these documents alone."""
    with tempfile.TemporaryDirectory() as scratch:
        documents = Path(scratch) / "documents.jsonl"
        documents.write_text(
            "".join(json.dumps({"text": json.loads(lines[row])["text"]}) + "\n" for row in rows)
        )
        store = Store(arguments.models)
        fitted = fit_adapter(store, arguments.old, arguments.new, FitFiles(documents))
        manifest = publish_adapter(store, fitted, "bench-adapter")
        return store.load(manifest.name, manifest.version), fitted.method


def _row(
    name: str, method: str, found: Any, whole: Any, judged: tuple[Relevant, float]
) -> tuple[str, str, float, float, float]:
    relevant, full = judged
    value = float(recall(found, relevant).mean())
    return name, method, value, value / full, float(kept(found, whole).mean())


def _micros(encoder: Encoder, vectors: Floats) -> float:
    """The median time of a vector, reading and preparing included."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        adapted(encoder, vectors[:BATCH])
        times.append(1e6 * (time.perf_counter() - started) / len(vectors[:BATCH]))
    return median(times)


def kills(arguments: argparse.Namespace) -> None:
    """Kill migrations of random texts at random moments; count rows that are lost, doubled or wrong."""
    chosen, killed, finished, wrong = random.Random(0), 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        inputs, source = place / "in.jsonl", place / "old.npy"
        inputs.write_text("".join(json.dumps({"text": one}) + "\n" for one in texts(KILLED_ROWS)))
        for reference, out in ((arguments.old, source), (arguments.new, place / "expected.npy")):
            name, _, version = reference.partition("@")
            options = ("--model", name, "--version", version, "--truncate", "end")
            _encodery("encode", inputs, out, *options, "--models-dir", arguments.models).wait()
        expected = np.load(place / "expected.npy", allow_pickle=False)
        while killed < KILLS or (place / f"new-{finished}.npy.partial").exists():
            out = place / f"new-{finished}.npy"
            process = _encodery(
                "migrate", arguments.old, arguments.new, source, out,
                "--inputs", inputs, "--models-dir", arguments.models,
            )  # fmt: skip
            with suppress(subprocess.TimeoutExpired):
                process.wait(chosen.uniform(0.5, LONGEST_S) if killed < KILLS else None)
            if process.poll() is None:
                process.kill()
                process.wait()
                killed += 1
                continue
            assert process.returncode == 0, process.returncode
            finished += 1
            rows = np.load(f"{out}.rows.npy", allow_pickle=False)
            assert rows.tolist() == list(range(KILLED_ROWS)), "rows were lost or doubled"
            off = np.abs(np.load(out, allow_pickle=False) - expected).max(axis=1)
            wrong += int((off > SAME).sum())
    print(f"{killed} kills, {finished} migrations of {KILLED_ROWS:,} rows finished, {wrong} rows wrong")


def blocks(arguments: argparse.Namespace) -> None:
    """Compare the time and CPU time of one request for two spaces with that of two requests, in turns."""
    store = Store(arguments.models)
    found = [load(store, reference).manifest for reference in (arguments.old, arguments.new)]
    versions = dict(os.environ) | {"ENCODERY_VERSIONS_PER_MODEL": "8"}
    with running(ours(arguments.models), Path(tempfile.gettempdir()) / "blocks.log", versions) as server:
        connection, cost = http.client.HTTPConnection("127.0.0.1", server.port), dict[str, list[float]]()
        while _asked(connection, {"inputs": "a", "spaces": [m.space for m in found]}) != http.client.OK:
            time.sleep(0.5)  # older versions are loaded after the current ones
        for size in (1, 32):
            bodies: dict[str, list[dict[str, Any]]] = {
                "two requests": [{"inputs": texts(size), "model": m.name, "space": m.space} for m in found],
                "one": [{"inputs": texts(size), "spaces": [m.space for m in found]}],
            }
            for name in list(bodies) * BLOCK_ROUNDS:
                wall, cpu = time.perf_counter(), server.cpu_s()
                for _ in range(BLOCK_REQUESTS):
                    for body in bodies[name]:
                        assert _asked(connection, body) == http.client.OK
                for what, spent in (("wall", time.perf_counter() - wall), ("cpu", server.cpu_s() - cpu)):
                    cost.setdefault(f"{what}, {size} texts, {name}", []).append(1e3 * spent / BLOCK_REQUESTS)
    for what in ("wall", "cpu"):
        for size in (1, 32):
            one, two = (median(cost[f"{what}, {size} texts, {name}"]) for name in ("one", "two requests"))
            print(f"{what}, {size} texts: {one:.2f} ms in one request, {two:.2f} in two: {one / two:.2f}")


def _asked(connection: http.client.HTTPConnection, body: Mapping[str, Any]) -> int:
    connection.request("POST", "/encode", json.dumps(body), JSON)
    response = connection.getresponse()
    response.read()
    return response.status


def _encodery(*arguments: object) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "encodery", *map(str, arguments)]
    return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("adapt")
    part.add_argument("old")
    part.add_argument("new")
    part.add_argument("set", type=Path)
    part.add_argument("--models", type=Path, required=True)
    part.set_defaults(run=adapt)
    part = parts.add_parser("kills")
    part.add_argument("old")
    part.add_argument("new")
    part.add_argument("--models", type=Path, required=True)
    part.set_defaults(run=kills)
    part = parts.add_parser("blocks")
    part.add_argument("old")
    part.add_argument("new")
    part.add_argument("--models", type=Path, required=True)
    part.set_defaults(run=blocks)
    given = parser.parse_args(arguments)
    given.run(given)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
