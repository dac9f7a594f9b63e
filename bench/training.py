"""How fast the loop trains, beside a bare torch loop of the same model: examples per second.

    python -m bench.training [--seconds 8] [--rounds 3]

A small MLP (48 -> 192 -> 77, sigmoid, SGD, 128 a batch) and a denoising auto-encoder of that width, on
generated rows; each quiet, and with one core busy with something else. The bare loop does what a tutorial
does, on torch's own number of threads, and again on one thread, whichever its user might have set. Rounds
alternate, so that a noisy machine harms all alike; the ratio is the result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH, ROWS, WIDE, HIDDEN, CLASSES = 128, 9984, 48, 192, 77
LOOPS = ("ours", "bare", "bare, one thread")


@dataclass(frozen=True)
class Case:
    """A model to train: `mlp` of labels, or `denoising` of its own inputs."""

    name: str
    layers: int


CASES = (Case("mlp", 1), Case("denoising", 3))


def main() -> None:
    """Run the command, or one loop of it in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("CASE", "LOOP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        name, loop = options.one
        print(json.dumps(one(next(case for case in CASES if case.name == name), loop, options.seconds)))
        return
    print("| model | machine | loop | examples/s | ours beside it |\n|---|---|---|---|---|")
    for case in CASES:
        for machine in ("quiet", "one core busy"):
            with busy(machine != "quiet"):
                for line in compared(case, machine, options):
                    print(line, flush=True)


def compared(case: Case, machine: str, options: argparse.Namespace) -> Iterator[str]:
    """Rows of the table: medians over the rounds."""
    found: dict[str, list[float]] = {loop: [] for loop in LOOPS}
    for _ in range(options.rounds):
        for loop in LOOPS:
            command = [sys.executable, "-m", "bench.training", "--seconds", str(options.seconds)]
            done = subprocess.run(
                [*command, "--one", case.name, loop], stdout=subprocess.PIPE, text=True, check=True
            )
            found[loop].append(json.loads(done.stdout))
    ours = statistics.median(found["ours"])
    for loop in LOOPS:
        value = statistics.median(found[loop])
        ratio = "" if loop == "ours" else f"{ours / value:.2f}"
        yield f"| {case.name} | {machine} | {loop} | {value:,.0f} | {ratio} |"


@contextmanager
def busy(is_busy: bool) -> Iterator[None]:
    """One core busy with something else, if it is to be."""
    if not is_busy:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def one(case: Case, loop: str, seconds: float) -> float:
    """Train for some seconds; examples per second, the first second not counted."""
    return _ours(case, seconds) if loop == "ours" else _bare(case, seconds, single=loop != "bare")


def _network(case: Case) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    wide: list[nn.Module] = [nn.Linear(WIDE, HIDDEN), nn.Sigmoid()]
    for _ in range(case.layers - 1):
        wide += [nn.Linear(HIDDEN, HIDDEN), nn.Sigmoid()]
    return nn.Sequential(*wide, nn.Linear(HIDDEN, CLASSES if case.name == "mlp" else WIDE))


def _data(case: Case) -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(ROWS, WIDE, generator=generator)
    labels = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    return inputs, labels if case.name == "mlp" else inputs


def _loss(case: Case) -> Any:
    from torch.nn import functional as F

    return F.cross_entropy if case.name == "mlp" else F.mse_loss


def _bare(case: Case, seconds: float, *, single: bool) -> float:
    """Train as a tutorial does."""
    import torch

    if single:
        torch.set_num_threads(1)
    model, (inputs, wanted), loss = _network(case), _data(case), _loss(case)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    counted = Counted(seconds)
    while True:
        order = torch.randperm(ROWS)
        for start in range(0, ROWS, BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss(model(inputs[rows]), wanted[rows]).backward()
            optimizer.step()
            if counted.is_over():
                return counted.rate


def _ours(case: Case, seconds: float) -> float:
    from training.config import TrainConfig
    from training.errors import InterruptedRunError
    from training.trainer import Trainer

    counted = Counted(seconds)
    config = TrainConfig(
        epochs=1_000_000, batch_size=BATCH, optimizer="sgd", learning_rate=0.1, metric="score", clip_norm=0.0
    )
    with tempfile.TemporaryDirectory() as directory:
        trainer = Trainer(
            Generated(case), config, seed=0, directory=Path(directory), stop=lambda state: counted.is_over()
        )
        try:
            trainer.fit()
        except InterruptedRunError:
            return counted.rate
    raise AssertionError("the run ended before its time")


class Counted:
    """Counts steps from the second second on, up to a time."""

    def __init__(self, seconds: float) -> None:
        self._start = time.perf_counter()
        self._seconds, self._steps, self._first = seconds, 0, 0.0

    def is_over(self) -> bool:
        """Count a step; whether it was the last."""
        now = time.perf_counter()
        if not self._first:
            self._first = now if now >= self._start + 1.0 else 0.0
            return False
        self._steps += 1
        self._last = now
        return now >= self._start + self._seconds

    @property
    def rate(self) -> float:
        """Examples per second."""
        return self._steps * BATCH / (self._last - self._first)


class Generated:
    """The same model and rows as a task of ours, its batches from the stream that texts use."""

    data_sha256 = "generated"
    starts_learned = False

    def __init__(self, case: Case) -> None:
        import numpy as np

        from training.data.stream import Stream

        self.model, self._loss = _network(case), _loss(case)
        self._inputs, self._wanted = _data(case)
        self._stream = Stream(np.ones(ROWS, dtype=np.int64), BATCH, seed=0)
        self.steps_per_epoch = self._stream.steps

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """One group."""
        return [{"params": list(self.model.parameters()), "lr": learning_rate}]

    def batches(self, epoch: int, start: int) -> Iterator[int]:
        """Steps from the start of training."""
        return iter(range(epoch * self.steps_per_epoch + start, (epoch + 1) * self.steps_per_epoch))

    def loss(self, batch: int) -> dict[str, Any]:
        """As in the bare loop."""
        import torch

        rows = torch.from_numpy(self._stream.rows(batch))
        return {"loss": self._loss(self.model(self._inputs[rows]), self._wanted[rows])}

    def evaluate(self) -> Any:
        """Nothing is measured here but speed."""
        from training.metrics import MetricValue, Validation

        return Validation({"score": MetricValue(0.0, 0.0)})

    def encoders(self) -> dict[str, Any]:
        """None: nothing is published."""
        return {}

    def score(self, encoders: Any) -> dict[str, Any]:
        """None."""
        return {}

    def drafts(self, metrics: dict[str, Any]) -> list[Any]:
        """None."""
        return []


if __name__ == "__main__":
    main()
