"""A third kind of run that only tests know: a linear encoder of pictures, which learns their quarters.

Settings, a task and a row for the table of run kinds: all that a kind of run is to the rest of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import toy_kind
from torch import Tensor, nn
from toy_kind import SIDE, Picture, PicturePreprocessor

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.publish import Draft
from training.config import Run, Section
from training.errors import ConfigError
from training.export import Exportable, draft_of, run_torch
from training.kinds import KINDS, RunKind
from training.metrics import MetricValue, Validation
from training.provenance import of_run
from training.task import Encode


class PicturesConfig(Section):
    """Where the pictures are: so many made ones."""

    count: int


class PictureRun(Run):
    """A run that trains an encoder of pictures."""

    kind: Literal["picture"]
    data: PicturesConfig


class PictureTask:
    """Four numbers for a picture: how bright each quarter of it is."""

    data_sha256 = "0" * 64

    def __init__(self, run: PictureRun, data: Path) -> None:
        if not data.is_dir():
            raise ConfigError(f"{data} is no directory")
        self.run = run
        self.pictures: list[Input] = [toy_kind.picture(seed) for seed in range(run.data.count)]
        self.preprocessor = PicturePreprocessor(b"{}", 1)
        torch.manual_seed(run.seed)
        self.model: nn.Module = nn.Linear(SIDE * SIDE, 4)

    @property
    def steps_per_epoch(self) -> int:
        return 1

    def parameter_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters()), "lr": learning_rate}]

    def batches(self, epoch: int, start: int) -> Iterator[Sequence[Input]]:
        yield self.pictures

    def loss(self, batch: Sequence[Input]) -> dict[str, Tensor]:
        arrays = self.preprocessor.collate(self.preprocessor.prepare(batch))
        vectors = self.model(torch.from_numpy(arrays["cells"]))
        return {"loss": (vectors - torch.from_numpy(quarters(batch))).square().mean()}

    starts_learned = False

    def evaluate(self) -> Validation:
        nearness = -error_of(self._encode(self.pictures), self.pictures)
        return Validation({"nearness": MetricValue(nearness, 0.0)})

    def encoders(self) -> dict[str, Encode]:
        return {self.run.name: self._encode}

    def _encode(self, inputs: Sequence[Input]) -> npt.NDArray[np.float32]:
        return run_torch(self.model, self.preprocessor, self.preprocessor.prepare(inputs))

    def score(self, encoders: Mapping[str, Encode]) -> dict[str, Metric]:
        return {"error": Metric(value=error_of(encoders[self.run.name](self.pictures), self.pictures))}

    def drafts(self, metrics: dict[str, Metric]) -> list[Draft]:
        exportable = Exportable(
            name=self.run.name,
            description=self.run.description,
            kind="picture",
            model=self.model,
            preprocessor=b"{}",
            parity_inputs=self.pictures,
            dimensions=[],
            normalized=False,
            metric="inner_product",
            max_length=1,
        )
        return [draft_of(exportable, of_run(self.run, self.data_sha256), metrics)]


def quarters(pictures: Sequence[Input]) -> npt.NDArray[np.float32]:
    """Mean brightness of each quarter, float32 [n, 4]."""
    half = SIDE // 2
    rows = []
    for one in pictures:
        assert isinstance(one, Picture), type(one)
        pixels = one.pixels.astype(np.float32) / 255
        rows.append([pixels[y : y + half, x : x + half].mean() for y in (0, half) for x in (0, half)])
    return np.array(rows, dtype=np.float32)


def error_of(vectors: npt.NDArray[np.float32], pictures: Sequence[Input]) -> float:
    """Mean square of what the vectors miss."""
    return float(np.square(vectors - quarters(pictures)).mean())


CONFIG = """
kind = "picture"
name = "quarters"
description = "How bright each quarter of a picture is."

[data]
count = 40

[train]
epochs = 200
learning_rate = 0.05
metric = "nearness"
evaluate_every = 100
"""


@contextmanager
def known() -> Iterator[None]:
    """The kind of run, and of input, as long as the context lasts."""
    with toy_kind.known():
        KINDS["picture"] = RunKind(settings="toy_run:PictureRun", task="toy_run:PictureTask")
        try:
            yield
        finally:
            del KINDS["picture"]
