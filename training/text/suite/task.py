"""The seam between what is measured and what measures it.

    directory -> find -> tasks -> texts -> encoded once -> vectors of a length -> score -> metrics

A task knows its texts and its metrics; it knows neither which encoder gave the vectors nor how long they
are. A new kind of task is one more small class, and one row in `training.text.suite.find`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from training.metrics import MetricValue

Floats: TypeAlias = npt.NDArray[np.float32]
Split: TypeAlias = Literal["dev", "test"]
VectorsOf: TypeAlias = Callable[[Sequence[str]], Floats]  # texts to float32 [n, d], L2-normalised


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with the name of their label, row by row."""

    texts: list[str]
    labels: list[str]

    def where(self, kept: Callable[[str], bool]) -> LabelledTexts:
        """Choose those whose text is kept."""
        rows = [(text, label) for text, label in zip(self.texts, self.labels, strict=True) if kept(text)]
        return LabelledTexts([text for text, _ in rows], [label for _, label in rows])


@dataclass(frozen=True)
class TaskDescription:
    """The description of a task.

    Attributes:
        name: of its directory.
        kind: similarity, retrieval, classification or clustering.
        split: what its metrics are of, in words: `the file stsb-en-dev.csv`.
        size: how much that is, in words: `1,500 pairs`.
        sha256: digest over the files that were read.
        headline: the metric to choose an encoder by.
    """

    name: str
    kind: str
    split: str
    size: str
    sha256: str
    headline: str


class EvaluationTask(Protocol):
    """One thing to be good at."""

    @property
    def about(self) -> TaskDescription:
        """Its description."""
        ...

    @property
    def baselines(self) -> Mapping[str, Mapping[str, MetricValue]]:
        """Its metrics for methods that need no vectors."""
        ...

    @property
    def labelled(self) -> LabelledTexts | None:
        """Texts to draw a map of, if they have labels."""
        ...

    def texts(self) -> Sequence[str]:
        """Every text whose vector `score` asks for; repetitions do no harm."""
        ...

    def score(self, vectors: VectorsOf) -> Mapping[str, MetricValue]:
        """Its metrics, larger is better, the headline among them."""
        ...
