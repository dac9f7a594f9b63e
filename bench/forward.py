"""Measures forward passes of encoders of texts: their rate, their bits in batches, and how near int8 is.

    python -m bench.forward --models DIR [--models DIR] text text-small minilm minilm-int8 [--rounds 5]

One thread, no server. Rates are of 1,024 texts in batches of like length; bits are of 1,000 texts, each alone
and in batches that are drawn at random, with `same_bits` and without. NAME-int8 is compared with NAME.
The table goes to bench/results/forward.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.machine import described
from bench.servers import ROOT
from bench.texts import texts
from bundle import Encoder, Execution, Prepared, Store, Text
from bundle.encoder import batches
from bundle.golden import cosines

RATED, COMPARED, ALONE = 1024, 1000, 300  # texts
BUDGET = 512  # tokens of a forward pass
DRAWN = (2, 7, 32, 128)  # sizes of the batches that are drawn
INT8 = "-int8"
Floats = npt.NDArray[np.float32]


class Row(NamedTuple):
    """What was measured of one encoder, without `same_bits` and with it."""

    name: str
    megabytes: float
    per_s: tuple[float, float]
    alone_ms: tuple[float, float]
    equal: tuple[float, float]
    vectors: Floats


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.forward",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--models", type=Path, action="append", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "forward.md")
    given = parser.parse_args()
    rows = [_measured(_store(given.models, name), name, given.rounds) for name in given.names]
    written = page(rows)
    given.out.write_text(written)
    print(written)


def page(rows: Sequence[Row]) -> str:
    """The table."""
    of, machine = {row.name: row for row in rows}, described()
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}; one "
        f"thread, medians of rounds. Without `ENCODERY_SAME_BITS`, and after the stroke with it.",
        "",
        "| encoder | `model.onnx`, MB | texts per CPU-second | a text alone, ms | equal bits in every batch "
        "| cosine to float32, mean; least |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        first = of.get(row.name.removesuffix(INT8)) if row.name.endswith(INT8) else None
        near = cosines(row.vectors, first.vectors) if first else None
        lines.append(
            f"| `{row.name}` | {row.megabytes:.1f} | {row.per_s[0]:.0f} / {row.per_s[1]:.0f} "
            f"| {row.alone_ms[0]:.2f} / {row.alone_ms[1]:.2f} | {row.equal[0]:.1%} / {row.equal[1]:.1%} "
            f"| {f'{near.mean():.4f}; {near.min():.4f}' if near is not None else ''} |"
        )
    return "\n".join(lines) + "\n"


def _store(directories: Sequence[Path], name: str) -> Store:
    for directory in directories:
        if name in (store := Store(directory)).names():
            return store
    raise SystemExit(f"no model {name} in {', '.join(map(str, directories))}")


def _measured(store: Store, name: str, rounds: int) -> Row:
    both = [store.load(name, execution=Execution(same_bits=is_same)) for is_same in (False, True)]
    prepared = both[0].prepare([Text(text) for text in texts(RATED)])
    sorted_in = [[prepared[row] for row in rows] for rows in batches([one.cost for one in prepared], BUDGET)]
    alone = [[one] for one in prepared[:ALONE]]
    rates = _in_turns(both, sorted_in, rounds, time.process_time)
    lone = _in_turns(both, alone, rounds, time.perf_counter)
    size = len(store.read(name, store.current(name)).files["model.onnx"])
    first, second = (_equal(one, prepared[:COMPARED]) for one in both)
    return Row(
        name,
        size / 1e6,
        (RATED / rates[0], RATED / rates[1]),
        (1e3 * lone[0] / ALONE, 1e3 * lone[1] / ALONE),
        (first, second),
        np.concatenate([both[0].run([one]) for one in prepared]),
    )


def _in_turns(
    encoders: Sequence[Encoder],
    passes: Sequence[Sequence[Prepared]],
    rounds: int,
    clock: Callable[[], float],
) -> list[float]:
    """Seconds of all passes by each encoder, the median of rounds that they take in turns."""
    found: list[list[float]] = [[] for _ in encoders]
    for _ in range(rounds + 1):  # the first warms
        for encoder, taken in zip(encoders, found, strict=True):
            began = clock()
            for batch in passes:
                encoder.run(batch)
            taken.append(clock() - began)
    return [median(taken[1:]) for taken in found]


def _equal(encoder: Encoder, prepared: Sequence[Prepared]) -> float:
    """The share of texts whose vector has the same bits alone and in a batch of each size."""
    alone = np.concatenate([encoder.run([one]) for one in prepared])
    drawn, is_equal = np.random.default_rng(0), np.ones(len(prepared), np.bool_)
    for size in DRAWN:
        order = drawn.permutation(len(prepared))
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            is_equal[rows] &= (encoder.run([prepared[row] for row in rows]) == alone[rows]).all(axis=1)
    return float(is_equal.mean())


if __name__ == "__main__":
    main()
