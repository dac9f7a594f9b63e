"""`encodery evaluate text NAME`: tasks and subjects in, results.json and results.html out."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundle.progress import Progress
from training.errors import ConfigError
from training.published import Published
from training.text.suite.find import find_tasks
from training.text.suite.maps import Map, map_of
from training.text.suite.page import page
from training.text.suite.results import MeasuredEncoder, Result, Results, results_of
from training.text.suite.retrieval import Retrieval
from training.text.suite.slices import Worst
from training.text.suite.splits import Split
from training.text.suite.subjects import Subject, pretrained, published
from training.text.suite.task import EvaluationTask, ShowsWorst
from training.text.suite.vectors import encoded, speed
from training.text.teacher_cache import cache_directory

SPLITS: tuple[Split, ...] = ("dev", "test")
SHOWN = 10  # examples of a task that an encoder is furthest off in


@dataclass(frozen=True)
class Comparison:
    """A model to measure, and those to compare it with.

    Attributes:
        name: the model; `version` of it, by default the current one.
        place: where it is published.
        baselines: other models of the same place.
        teacher: a pretrained encoder to compare with, a directory or `package:NAME`.
        dimensions: lengths to measure; by default all that the manifest has.
    """

    name: str
    place: Published
    version: str | None = None
    baselines: Sequence[str] = ()
    teacher: str | None = None
    dimensions: Sequence[int] = ()

    def subjects(self) -> list[Subject]:
        """The one to measure, then those to compare with."""
        found = [published(self.place, self.name, self.version)]
        found += [published(self.place, name) for name in self.baselines]
        found += [pretrained(self.teacher)] if self.teacher else []
        names = [one.name for one in found]
        if len(set(names)) < len(names):
            raise ConfigError(f"{', '.join(names)}: to compare a model with itself says nothing")
        return found


def run(comparison: Comparison, *, data: Path, split: str, out: Path) -> Results:
    """Measure, and write results.json and results.html into `out`.

    Raises:
        TrainingError: the data, a server or the teacher is not as it should be.
        BundleError: a model is not published, or not sound.
    """
    chosen = next((one for one in SPLITS if one == split), None)
    if chosen is None:
        raise ConfigError(f"--split is {split!r}; it must be dev or test")
    subjects = comparison.subjects()
    first = lengths(subjects[0], comparison.dimensions)
    found = find_tasks(data, chosen)
    tasks, without = found.tasks, {one.name: one.why for one in found.without}
    results = Results("text", chosen, _now(), _machine(), [], [task.about for task in tasks], without, [])
    maps: list[Map] = []
    for number, subject in enumerate(subjects):
        wanted = first if number == 0 else subject.dimensions
        measured, rows, drawn, worst = _measure(subject, tasks, wanted, in_detail=number == 0)
        results.encoders.append(measured)
        results.figures.extend(rows)
        maps.extend(drawn)
        results.worst.extend(worst)
    for task in tasks:
        for name, values in task.baselines.items():
            results.figures.extend(results_of(task.about, name, None, values))
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(results.to_json(), encoding="utf-8")
    (out / "results.html").write_text(page(results, maps), encoding="utf-8")
    return results


def lengths(subject: Subject, wanted: Sequence[int]) -> tuple[int, ...]:
    """The lengths to measure, the full one always. Raises ConfigError for one that the model has not."""
    if odd := sorted(set(wanted) - set(subject.dimensions)):
        has = ", ".join(map(str, subject.dimensions))
        raise ConfigError(f"--dimensions {odd[0]}: {subject.name} was trained for {has}")
    chosen = {subject.dim, *wanted} if wanted else set(subject.dimensions)
    return tuple(sorted(chosen, reverse=True))


class _Measured(NamedTuple):
    encoder: MeasuredEncoder
    rows: list[Result]
    maps: list[Map]
    worst: list[Worst]


def _measure(
    subject: Subject, tasks: Sequence[EvaluationTask], dimensions: tuple[int, ...], *, in_detail: bool
) -> _Measured:
    texts = [text for task in tasks for text in task.texts()]
    rows: list[Result] = []
    with encoded(subject, texts, cache_directory() / "teacher") as table:
        with Progress(
            total=len(tasks) * len(dimensions), label=f"{subject.name}: tasks", unit="tasks"
        ) as bar:
            for task in tasks:
                for dim in dimensions:
                    bar.advance(0, f"{task.about.name} at {dim}")
                    rows += results_of(task.about, subject.name, dim, task.score(partial(table.at, dim=dim)))
                    bar.advance(1, f"{task.about.name} at {dim}")
                if subject.sparse is not None and isinstance(task, Retrieval):
                    mix = task.score_mixed(partial(table.at, dim=subject.dim), subject.sparse)
                    rows += results_of(task.about, f"{subject.name} mix", None, mix)
        zeros = {dim: count for dim in dimensions if (count := table.zeros(dim))}
        maps = [
            map_of(task.about, task.labelled, partial(table.at, dim=subject.dim))
            for task in tasks
            if in_detail and task.labelled
        ]
        worst = [
            task.worst(partial(table.at, dim=subject.dim), SHOWN)
            for task in tasks
            if in_detail and isinstance(task, ShowsWorst)
        ]
    with Progress(total=1, label=f"{subject.name}: speed", unit="samples") as bar:
        texts_per_s = speed(subject, texts)
        bar.advance(1)
    measured = MeasuredEncoder(
        name=subject.name,
        version=subject.version,
        space=subject.space,
        source=subject.source,
        dimensions=dimensions,
        texts=len(table.rows),
        seconds=table.seconds,
        zero_vectors=zeros,
        texts_per_s=texts_per_s,
    )
    return _Measured(measured, rows, maps, worst)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _machine() -> str:
    """Name what the speeds depend on, as far as it is no secret."""
    cores, python = os.cpu_count(), platform.python_version()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {python}"
