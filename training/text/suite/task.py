"""The seam between what is measured and what measures it.

    directory -> find -> tasks -> texts -> encoded once -> vectors of a length -> score -> metrics

A task knows its texts and its metrics; it knows neither which encoder gave the vectors nor how long they
are. The encoder sees texts alone: no id, no label, no place in a file.

A new kind of task is one more small class, and one row in `training.text.suite.find`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from bundle.lexical import InputType, SparseVector
from training.data.files import files_sha256
from training.errors import ConfigError
from training.metrics import MetricValue
from training.text.suite.splits import in_fixed_order

Floats: TypeAlias = npt.NDArray[np.float32]
SparseOf: TypeAlias = Callable[[Sequence[str], InputType], list[SparseVector]]
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

    def in_fixed_order(self) -> LabelledTexts:
        """Order them by themselves, not as a file has them."""
        order = in_fixed_order(
            f"{text}\n{label}" for text, label in zip(self.texts, self.labels, strict=True)
        )
        return LabelledTexts([self.texts[row] for row in order], [self.labels[row] for row in order])


Kind: TypeAlias = Literal["similarity", "retrieval", "classification", "clustering"]

# So many judged queries, pairs or texts are enough for a figure; with fewer it cannot tell encoders apart.
ENOUGH: Mapping[Kind, int] = {"similarity": 100, "retrieval": 30, "classification": 100, "clustering": 100}
FEWEST = 2  # there is no standard error of one


@dataclass(frozen=True)
class TaskDescription:
    """The description of a task.

    Attributes:
        name: of its directory.
        split: what its metrics are of, in words: `the file stsb-en-dev.csv`.
        size: how much that is, in words: `1,500 pairs`.
        sha256: digest over the files that were read.
        headline: the metric to choose an encoder by.
        judged: how many queries, pairs or texts its metrics are over.
        is_small: whether these are too few, so that they say little.
        notes: what was left out or replaced on the way, in words.
    """

    name: str
    kind: Kind
    split: str
    size: str
    sha256: str
    headline: str
    judged: int
    is_small: bool
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        directory: Path,
        files: Sequence[str],
        *,
        kind: Kind,
        split: str,
        size: str,
        headline: str,
        judged: int,
        notes: Sequence[str] = (),
    ) -> TaskDescription:
        """Describe a task that was read from these files. Raises ConfigError if there is next to nothing."""
        if judged < FEWEST:
            raise ConfigError(
                f"{directory}: {size} in {split}; at least {FEWEST} are needed for a figure, "
                f"and {ENOUGH[kind]} for one that says something"
            )
        digest, is_small = files_sha256(directory, files), judged < ENOUGH[kind]
        return cls(directory.name, kind, split, size, digest, headline, judged, is_small, tuple(notes))


def counted(count: int, what: str) -> list[str]:
    """A note of how many of something there are, if there are any."""
    return [f"{count:,} {what}"] if count else []


@dataclass(frozen=True)
class NoSuchSplit:
    """A set that has no part for the split that is asked for.

    Attributes:
        why: in words, with the way out.
    """

    name: str
    why: str


@runtime_checkable
class ShowsWorst(Protocol):
    """What a task can do whose examples can be looked at one by one."""

    def worst(self, vectors: VectorsOf, count: int) -> Any:
        """The examples that the encoder is furthest off in, a `Worst` of `training.text.suite.slices`."""
        ...


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
