"""Which tasks lie in a directory: known by their files, so that a set only has to be put there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundle.progress import Progress
from training.errors import ConfigError
from training.text.suite.classification import Classification
from training.text.suite.clustering import Clustering
from training.text.suite.retrieval import Retrieval
from training.text.suite.similarity import Similarity
from training.text.suite.splits import Split
from training.text.suite.task import EvaluationTask, NoSuchSplit

KINDS: tuple[Callable[[Path, Split], EvaluationTask | NoSuchSplit | None], ...] = (
    Similarity.of,
    Retrieval.of,
    Classification.of,
    Clustering.of,
)


@dataclass(frozen=True)
class Found:
    """The tasks of a split, and the sets that have no such split."""

    tasks: list[EvaluationTask]
    without: list[NoSuchSplit]


def find_tasks(directory: Path, split: Split) -> Found:
    """The tasks of a directory and of those directly in it, in the order of KINDS, then by name.

    Raises:
        ConfigError: there is none, or one of its files is not as it should be.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory} is no directory; say where the data is by --data or ENCODERY_DATA")
    places = [directory, *sorted(path for path in directory.iterdir() if path.is_dir())]
    found = Found([], [])
    with Progress(total=len(KINDS) * len(places), label="looking for sets", unit="places") as progress:
        for of in KINDS:
            for place in places:
                one = of(place, split)
                if isinstance(one, NoSuchSplit):
                    found.without.append(one)
                elif one is not None:
                    found.tasks.append(one)
                progress.advance(1)
    if not found.tasks:
        others = "".join(f"; {one.name}: {one.why}" for one in found.without)
        raise ConfigError(
            f"{directory} holds no task with a {split} split; docs/evaluation.md has the formats{others}"
        )
    return found
