"""Measures what an adapter is worth, and what it costs.

    python -m bench.spaces adapt OLD NEW SET --models DIR

SET is a directory in BEIR's form, for example MedQuAD; OLD and NEW are NAME@VERSION of DIR. Adapters are
fitted by the command's own code on documents that are then left out of the index, without questions or
labels, and judged by the set's questions. The table goes to bench/results/adapters.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bundle import Encoder, Store
from encodery.spaces.adapt import FitFiles, fit_adapter, publish_adapter
from encodery.spaces.apply import adapted
from encodery.spaces.neighbours import Floats, Relevant, kept, nearest, recall
from encodery.spaces.reading import encode_file, load, read_labels

RESULTS = Path(__file__).parent / "results"
SIZES, LARGEST = (500, 1000, 2000), 2000
BATCH, ROUNDS = 4096, 20


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
    given = parser.parse_args(arguments)
    given.run(given)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
