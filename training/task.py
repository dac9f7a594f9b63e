"""What the loop needs to know of a run, and no more: the seam between `training.trainer` and the tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from bundle.manifest import Metric
from bundle.publish import Draft


class Task(Protocol):
    """One thing to train. Everything random in it follows from the seed and torch's own generator."""

    model: nn.Module
    data_sha256: str

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the data."""
        ...

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Groups for the optimiser, each with `params` and, where it differs, `lr`."""
        ...

    def batches(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of an epoch from number `start` on; the same for the same seed and epoch."""
        ...

    def loss(self, batch: Any) -> dict[str, Tensor]:
        """`loss`, the scalar to minimise, and its parts for the log."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures on the validation split, larger is better."""
        ...

    def final_metrics(self) -> dict[str, Metric]:
        """Figures of the trained model with their baselines, for the manifest. Read once, at the end."""
        ...

    def drafts(self, run: Path, metrics: dict[str, Metric]) -> list[Draft]:
        """The bundles to publish, exported and checked against torch."""
        ...
