"""One request in the batcher: collects its rows as their batches end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.engine.errors import EncoderFailed, EngineError, NumericalError
from app.engine.isolation import BatchOutcome
from app.engine.queue import Entry


@dataclass(eq=False, slots=True)
class PendingRequest:
    """The rows of one request.

    Attributes:
        done: resolved when no row is missing, or one failed.
        indices: of its rows among the inputs of the request, for errors.
        vectors: float32 [n, dim], once the first row is there.
    """

    done: asyncio.Future[None]
    indices: Sequence[int]
    missing: int
    enqueued_s: float
    started_s: float | None = None
    finished_s: float = 0.0
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def deliver(self, row: int, vector: npt.NDArray[np.float32], now_s: float) -> None:
        """Take one row."""
        if not len(self.vectors):
            self.vectors = np.empty((self.missing, len(vector)), dtype=np.float32)  # [n, d]
        self.vectors[row] = vector
        self.missing -= 1
        if self.missing == 0 and not self.done.done():
            self.finished_s = now_s
            self.done.set_result(None)

    def fail(self, error: EngineError | TimeoutError) -> None:
        """One row failed, and with it the request; or its time is over."""
        if not self.done.done():
            self.done.set_exception(error)


def hand_out(batch: Sequence[Entry], outcome: BatchOutcome, now_s: float) -> None:
    """Give the rows of a batch to the requests they belong to."""
    for position, entry in enumerate(batch):
        pending = request_of(entry)
        if position not in outcome.failures:
            pending.deliver(entry.row, outcome.vectors[position], now_s)
            continue
        cause, index = outcome.failures[position], pending.indices[entry.row]
        error = NumericalError(index) if cause is None else EncoderFailed(index)
        error.__cause__ = cause
        pending.fail(error)


def request_of(entry: Entry) -> PendingRequest:
    """The request of an entry."""
    assert isinstance(entry.group, PendingRequest), type(entry.group)
    return entry.group
