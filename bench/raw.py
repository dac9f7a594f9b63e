"""Measures the ceilings: onnxruntime without a server, tokenising alone, bare matrix products.

Runs in a process of its own (`python -m bench.raw`), which reads what to do as JSON from standard input:
numbers of threads must be set before numpy is loaded. CPU time is that of the process.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from tokenizers import Tokenizer

from bundle import Encoder, Prepared, Store, Text
from bundle.inputs import Input

BUDGETS = (128, 256, 512)
MEDIA_BATCHES = (1, 2, 4, 8)  # as many as there are callers at most
T = TypeVar("T")
SGEMM = (2048, 384, 1536)  # rows x inputs x outputs: a linear layer of MiniLM over 2048 tokens


@dataclass(frozen=True)
class Rate:
    """Texts, or multiply-adds, per second of the clock and per second of CPU."""

    per_s: float
    per_cpu_s: float


def measured(work: Callable[[], float], seconds: float) -> Rate:
    """Repeat `work` for about that long; it returns how much it did."""
    started_s, cpu_s, done = time.perf_counter(), time.process_time(), 0.0
    while (passed_s := time.perf_counter() - started_s) < seconds:
        done += work()
    passed_s = time.perf_counter() - started_s
    return Rate(done / passed_s, done / (time.process_time() - cpu_s))


def forward(model: str, models: Path, texts: Sequence[str], workers: int, seconds: float) -> dict[str, Any]:
    """Find the best batching by hand: sorted over all texts, each budget tried, one session, n callers."""
    encoder = Store(models).load(model)
    rates = {
        f"sorted, {budget} tokens": _forward(encoder, texts, workers, seconds, budget) for budget in BUDGETS
    }
    best = max(rates, key=lambda name: rates[name].per_cpu_s)
    return {"policy": best, "per_s": rates[best].per_s, "per_cpu_s": rates[best].per_cpu_s}


def _forward(encoder: Encoder, texts: Sequence[str], workers: int, seconds: float, budget: int) -> Rate:
    with ThreadPoolExecutor(workers) as pool:

        def work() -> float:
            prepared = encoder.prepare([Text(text) for text in texts])
            list(pool.map(encoder.run, batches_of(prepared, budget, packed=encoder.is_packed)))
            return len(texts)

        work()
        return measured(work, seconds)


def batches_of(prepared: Sequence[Prepared], budget: int, *, packed: bool) -> Iterator[list[Prepared]]:
    """Sort by cost, and batch within the budget."""
    batch: list[Prepared] = []
    for one in sorted(prepared, key=lambda each: each.cost):
        cost = sum(each.cost for each in batch) + one.cost if packed else one.cost * (len(batch) + 1)
        if batch and cost > budget:
            yield batch
            batch = []
        batch.append(one)
    yield batch


def media(model: str, models: Path, files: Sequence[str], workers: int, seconds: float) -> dict[str, Any]:
    """Decode and encode files (base64) by hand: n callers, each with batches of its own, each size tried."""
    encoder = Store(models).load(model)
    inputs = encoder.read([base64.b64decode(one) for one in files])
    rates = dict[str, Rate]()
    for size in MEDIA_BATCHES:
        batches = [inputs[start : start + size] for start in range(0, len(inputs), size)]
        with ThreadPoolExecutor(workers) as pool:

            def work(pool: ThreadPoolExecutor = pool, batches: list[list[Input]] = batches) -> float:
                list(pool.map(lambda batch: encoder.run(encoder.prepare(batch)), batches))
                return len(inputs)

            work()
            rates[f"batches of {size}"] = measured(work, seconds / len(MEDIA_BATCHES))
    best = max(rates, key=lambda name: rates[name].per_cpu_s)
    return {"policy": best, "per_s": rates[best].per_s, "per_cpu_s": rates[best].per_cpu_s}


def lone(model: str, models: Path, texts: Sequence[str], seconds: float) -> dict[str, Any]:
    """Time forward passes of one text, with one thread and with all: median ms."""
    import onnxruntime as ort

    store = Store(models)
    encoder = store.load(model)
    graph = (models / model / store.current(model) / "model.onnx").read_bytes()
    found: dict[str, Any] = {}
    for threads in (1, len(os.sched_getaffinity(0))):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(graph, options, ["CPUExecutionProvider"])
        layout = next(
            one
            for one in encoder.preprocessor.layouts
            if {node.name for node in session.get_inputs()} <= set(one.input_names)
        )
        feeds = [layout.collate([one]) for one in encoder.prepare([Text(text) for text in texts[:64]])]
        took_ms: list[float] = []
        until_s = time.perf_counter() + seconds
        while time.perf_counter() < until_s:
            started_s = time.perf_counter()
            session.run(None, feeds[len(took_ms) % len(feeds)])
            took_ms.append(1e3 * (time.perf_counter() - started_s))
        found[f"p50_ms, {threads} threads"] = float(np.median(took_ms))
    return found


def tokenising(model: str, models: Path, texts: Sequence[str], seconds: float) -> Rate:
    """Tokenise 32 texts at a time, by the tokenizers library alone."""
    directory = models / model / Store(models).current(model)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return _by_32(tokenizer.encode_batch_fast, texts, seconds)


def preparing(model: str, models: Path, texts: Sequence[str], seconds: float) -> Rate:
    """Prepare 32 texts at a time by the bundle's preprocessor, as it is served."""
    encoder = Store(models).load(model)
    return _by_32(encoder.prepare, [Text(text) for text in texts], seconds)


def _by_32(work: Callable[[list[T]], object], items: Sequence[T], seconds: float) -> Rate:
    batches = cycle([list(items[i : i + 32]) for i in range(0, len(items) - 31, 32)])

    def one() -> float:
        work(next(batches))
        return 32

    return measured(one, seconds)


def sgemm(seconds: float) -> Rate:
    """Multiply float32 matrices on one core, in GF."""
    rows, inputs, outputs = SGEMM
    chance = np.random.default_rng(0)
    left = chance.standard_normal((rows, inputs)).astype(np.float32)
    right = chance.standard_normal((inputs, outputs)).astype(np.float32)

    def work() -> float:
        left @ right
        return 2e-9 * rows * inputs * outputs

    return measured(work, seconds)


def main() -> None:
    """Answer one question from standard input."""
    question = json.load(sys.stdin)
    what = question.pop("what")
    if "models" in question:
        question["models"] = Path(question["models"])
    answers: dict[str, Callable[..., Any]] = {
        "forward": forward,
        "lone": lone,
        "media": media,
        "tokenising": tokenising,
        "preparing": preparing,
        "sgemm": sgemm,
    }
    found = answers[what](**question)
    json.dump(
        found if isinstance(found, dict) else {"per_s": found.per_s, "per_cpu_s": found.per_cpu_s}, sys.stdout
    )


if __name__ == "__main__":
    main()
