"""One forward pass on a worker's thread: timed, and no failure of one row is the failure of another.

A pass that fails, or gives vectors that are not finite, is run again in halves until the culprits stand
alone: in a packed batch one row's NaN reaches others. k culprits among n rows cost about 2 k log2(n / k)
passes; nothing that native code throws stops a worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from bundle import Prepared

Vectors: TypeAlias = npt.NDArray[np.float32]
Run: TypeAlias = Callable[[Sequence[Prepared]], Vectors]


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What a batch gave.

    Attributes:
        vectors: float32 [n, dim]; rows named in `failures` mean nothing.
        failures: position in the batch to what was raised; None for a vector that is not finite.
        wall_s: that it took.
        cpu_s: of this thread; with one thread a pass, what it would take on a core of its own.
    """

    vectors: Vectors
    failures: Mapping[int, BaseException | None]
    wall_s: float = 0.0
    cpu_s: float = 0.0


def run_isolated(run: Run, batch: Sequence[Prepared]) -> BatchOutcome:
    """One forward pass (n >= 1); when it fails, as many as it takes to find whose fault it is."""
    started_s, started_cpu_s = time.perf_counter(), time.thread_time()
    failures: dict[int, BaseException | None] = {}
    vectors = _run(run, batch, 0, failures)
    if vectors is None:
        vectors = np.zeros((len(batch), 0), np.float32)
    return BatchOutcome(
        vectors, failures, time.perf_counter() - started_s, time.thread_time() - started_cpu_s
    )


def _run(
    run: Run, batch: Sequence[Prepared], first: int, failures: dict[int, BaseException | None]
) -> Vectors | None:
    """Vectors of the rows from `first` on; None if none of them gives any."""
    cause: BaseException | None = None
    vectors: Vectors | None = None
    try:
        vectors = run(batch)
        assert len(vectors) == len(batch), (len(vectors), len(batch))
        if np.isfinite(vectors).all():
            return vectors
    except BaseException as error:  # pyo3's PanicException is no Exception
        cause, vectors = error, None
    if len(batch) == 1:
        failures[first] = cause
        return vectors
    middle = len(batch) // 2
    parts = [
        _run(run, batch[:middle], first, failures),
        _run(run, batch[middle:], first + middle, failures),
    ]
    return _joined(parts, (middle, len(batch) - middle))


def _joined(parts: Sequence[Vectors | None], rows: Sequence[int]) -> Vectors | None:
    """Both parts as one array; zeros where a part has no vectors."""
    dim = max((part.shape[1] for part in parts if part is not None), default=None)
    if dim is None:
        return None
    zeros = [np.zeros((n, dim), np.float32) for n in rows]
    return np.concatenate([zero if part is None else part for part, zero in zip(parts, zeros, strict=True)])
