"""What the loop and the commands need to know of a run: the seam between them and the tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.publish import Draft
from training.metrics import Validation

# Inputs to float32 [n, dim]: a torch module, a loaded bundle or a server behind HTTP, all measured alike.
Encode: TypeAlias = Callable[[Sequence[Input]], npt.NDArray[np.float32]]


class Task(Protocol):
    """One thing to train. Everything random in it follows from the seed and torch's own generator."""

    @property
    def data_sha256(self) -> str:
        """Digest of everything that is learned from."""
        ...

    @property
    def model(self) -> nn.Module:
        """Everything that is trained."""
        ...

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

    @property
    def starts_learned(self) -> bool:
        """Whether the start follows from the data of the run, as a closed form does: worth publishing."""
        ...

    def evaluate(self) -> Validation:
        """Measure the validation split."""
        ...

    def encoders(self) -> dict[str, Encode]:
        """Model name to the trained torch encoder, exactly as it will be exported."""
        ...

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        """Final metrics of any encoders of these names, with their baselines."""
        ...

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        """The bundles to publish, exported and checked against torch."""
        ...
