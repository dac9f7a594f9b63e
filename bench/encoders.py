"""Measures text encoders beside their teacher in one runtime, and where the time of a text goes.

    python -m bench.encoders --models models --models OTHER [--names text,text-small,minilm] [--rounds 5]

Interleaved rounds, medians. All cores: one session, a caller per core, batches by hand as in `bench.raw`.
One core: tokenising alone, then all of `prepare` (ids, facts, checks), then the forward passes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # threads are the callers', as in the server

from tokenizers import Tokenizer

from bench.raw import BUDGETS, batches_of
from bench.texts import texts
from bundle import Encoder, Store, Text

COUNT, SECONDS = 2048, 1.5
TRIED = (*BUDGETS, 2048, 8192)  # tokens in a forward pass; a small encoder wants many
CALLS = 32  # texts per call of the tokenizer, as a request has them


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, action="append", required=True)
    parser.add_argument("--names", default="text,text-small,minilm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    loaded = {name: _load(given.models, name) for name in given.names.split(",")}
    sample = texts(COUNT)
    rounds = [{name: _measured(*one, sample) for name, one in loaded.items()} for _ in range(given.rounds)]
    found = {
        name: {key: median(one[name][key] for one in rounds) for key in rounds[0][name]} for name in loaded
    }
    content = json.dumps(found, indent=1)
    if given.out:
        given.out.write_text(content + "\n")
    print(content)


def _load(directories: Sequence[Path], name: str) -> tuple[Encoder, Tokenizer]:
    for directory in directories:
        store = Store(directory)
        if name in store.names():
            version = store.current(name)
            return store.load(name), Tokenizer.from_file(str(directory / name / version / "tokenizer.json"))
    raise SystemExit(f"no model {name} in {', '.join(map(str, directories))}")


def _measured(encoder: Encoder, tokenizer: Tokenizer, sample: Sequence[str]) -> dict[str, float]:
    tokenizer.no_padding()
    tokenizer.no_truncation()
    inputs = [Text(text) for text in sample]
    few = inputs[: 8 * CALLS]
    calls = [few[at : at + CALLS] for at in range(0, len(few), CALLS)]
    batches = {
        budget: list(batches_of(encoder.prepare(few), budget, packed=encoder.is_packed)) for budget in TRIED
    }

    def tokenise() -> None:
        for call in calls:
            tokenizer.encode_batch_fast([one.text for one in call])

    def prepare() -> None:
        for call in calls:
            encoder.prepare(call)

    def forward(budget: int) -> Callable[[], None]:
        def run() -> None:
            for batch in batches[budget]:
                encoder.run(batch)

        return run

    forwards = {budget: _seconds(forward(budget)) for budget in TRIED}
    best = min(forwards, key=lambda budget: forwards[budget])
    return {
        "tokenise_us": 1e6 * _seconds(tokenise) / len(few),
        "prepare_us": 1e6 * _seconds(prepare) / len(few),
        "run_us": 1e6 * forwards[best] / len(few),
        "per_s": _on_all_cores(encoder, inputs, best),
    }


def _on_all_cores(encoder: Encoder, inputs: Sequence[Text], budget: int) -> float:
    """Measure texts per second, tokenising included."""
    callers = len(os.sched_getaffinity(0))
    step = min(256, -(-len(inputs) // callers))
    parts = [inputs[at : at + step] for at in range(0, len(inputs), step)]

    def part(some: Sequence[Text]) -> None:
        for batch in batches_of(encoder.prepare(some), budget, packed=encoder.is_packed):
            encoder.run(batch)

    with ThreadPoolExecutor(callers) as pool:
        return len(inputs) / _seconds(lambda: list(pool.map(part, parts)))


def _seconds(work: Callable[[], object]) -> float:
    """Time one call: the median over about `SECONDS`, after one to warm up."""
    work()
    took: list[float] = []
    until = time.perf_counter() + SECONDS
    while not took or time.perf_counter() < until:
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return median(took)


if __name__ == "__main__":
    main()
