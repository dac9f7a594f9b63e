"""Which tasks lie in a directory: known by their files, so that a set only has to be put there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.errors import ConfigError
from training.text.suite.classification import Classification
from training.text.suite.clustering import Clustering
from training.text.suite.retrieval import Retrieval
from training.text.suite.similarity import Similarity
from training.text.suite.task import EvaluationTask, Split

KINDS: tuple[Callable[[Path, Split], EvaluationTask | None], ...] = (
    Similarity.of,
    Retrieval.of,
    Classification.of,
    Clustering.of,
)


def find_tasks(directory: Path, split: Split) -> list[EvaluationTask]:
    """The tasks of a directory and of those directly in it, in the order of KINDS, then by name.

    Raises:
        ConfigError: there is none, or one of its files is not as it should be.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory} is no directory; say where the data is by --data or ENCODERY_DATA")
    places = [directory, *sorted(path for path in directory.iterdir() if path.is_dir())]
    found = [task for of in KINDS for place in places if (task := of(place, split)) is not None]
    if not found:
        raise ConfigError(
            f"{directory} holds no task with a {split} split; docs/evaluation.md has the formats"
        )
    return found
