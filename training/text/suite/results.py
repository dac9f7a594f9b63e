"""What a run of the suite found: results.json, and the table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from training.metrics import MetricValue
from training.text.suite.probe import GRADIENT
from training.text.suite.slices import Worst
from training.text.suite.splits import Split
from training.text.suite.task import ENOUGH, TaskDescription

SCHEMA_VERSION = 2
FEW = "(few)"  # marks a task with too few to judge by


@dataclass(frozen=True)
class MeasuredEncoder:
    """One encoder.

    Attributes:
        dimensions: lengths that were measured, the longest first.
        texts: distinct texts encoded.
        seconds: what that took; nothing where vectors were kept from an earlier run.
        zero_vectors: how many of the texts have a vector of 0, by dimension, where there are any. A cosine
            with them counts as 0.
        texts_per_s: on a fixed sample of them, the best of several passes.
    """

    name: str
    version: str
    space: str
    source: str
    dimensions: tuple[int, ...]
    texts: int
    seconds: float
    zero_vectors: Mapping[int, int]
    texts_per_s: float


@dataclass(frozen=True)
class Result:
    """One metric of one encoder, or of a method without vectors: then `dimension` is None.

    Attributes:
        chosen: what was chosen on other data on the way to it.
    """

    task: str
    kind: str
    figure: str
    encoder: str
    dimension: int | None
    value: float
    standard_error: float
    chosen: Mapping[str, float]


@dataclass(frozen=True)
class Results:
    """All of it; the first encoder is the one that is measured.

    Attributes:
        without: sets that have no such split, and why.
        worst: of the first encoder at full length, the examples that it is furthest off in.
    """

    suite: str
    split: Split
    created: str
    machine: str
    encoders: list[MeasuredEncoder]
    tasks: list[TaskDescription]
    without: Mapping[str, str]
    figures: list[Result]
    worst: list[Worst] = field(default_factory=list)

    def to_json(self) -> str:
        """The content of results.json."""
        return (
            json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, indent=1, ensure_ascii=False)
            + "\n"
        )

    def of(self, task: TaskDescription, figure: str) -> dict[tuple[str, int | None], Result]:
        """A metric of a task by encoder and dimension."""
        rows = [
            row for row in self.figures if (row.task, row.kind, row.figure) == (task.name, task.kind, figure)
        ]
        return {(row.encoder, row.dimension): row for row in rows}

    def figures_of(self, task: TaskDescription) -> list[str]:
        """Their names, the headline first."""
        names = [row.figure for row in self.figures if (row.task, row.kind) == (task.name, task.kind)]
        return list(dict.fromkeys([task.headline, *names]))


def results_of(
    about: TaskDescription, encoder: str, dimension: int | None, found: Mapping[str, MetricValue]
) -> list[Result]:
    """Name a task's metric values."""
    return [
        Result(about.name, about.kind, name, encoder, dimension, one.mean, one.standard_error, one.chosen)
        for name, one in found.items()
    ]


def full_table(results: Results) -> list[list[str]]:
    """Every metric at full length, encoders side by side, and what share of each other one the first has."""
    encoders = results.encoders
    others = [one.name for one in encoders[1:]]
    methods = list(dict.fromkeys(row.encoder for row in results.figures if row.dimension is None))
    head = [
        "task",
        "figure",
        *(one.name for one in encoders),
        *methods,
        *(f"of {one}" for one in [*others, *methods]),
    ]
    table = [head]
    for task in results.tasks:
        for name in results.figures_of(task):
            found = results.of(task, name)
            full = [found[one.name, one.dimensions[0]] for one in encoders]
            bare = [found.get((one, None)) for one in methods]
            shares = [_share(full[0], one) for one in [*full[1:], *bare]]
            table.append([marked(task), name, *map(_value, full), *map(_value, bare), *shares])
    return table


def dimension_table(results: Results) -> list[list[str]]:
    """The headlines of the first encoder at each length."""
    first = results.encoders[0]
    table = [["task", "figure", *(f"{dim} d" for dim in first.dimensions)]]
    for task in results.tasks:
        found = results.of(task, task.headline)
        table.append(
            [marked(task), task.headline, *(_value(found[first.name, dim]) for dim in first.dimensions)]
        )
    return table


def speed_table(results: Results) -> list[list[str]]:
    """Write how fast each encoder was."""
    head = ["encoder", "version", "source", "dimensions", "texts/s"]
    return [head] + [
        [one.name, one.version, one.source, str(one.dimensions[0]), f"{one.texts_per_s:,.0f}"]
        for one in results.encoders
    ]


def report(results: Results) -> str:
    """Write what the terminal shows."""
    kept = "the test split was not looked at" if results.split == "dev" else "report it, choose nothing by it"
    lines = [f"suite {results.suite}, split {results.split} ({kept})", *aligned(full_table(results))]
    if len(results.encoders[0].dimensions) > 1:
        lines += [
            "",
            f"{results.encoders[0].name}, cut to fewer dimensions",
            *aligned(dimension_table(results)),
        ]
    lines += ["", "speed, in batches, on this machine", *aligned(speed_table(results)), ""]
    lines += [f"{marked(task)}: {task.size}; {task.split}" for task in results.tasks]
    return "\n".join([*lines, *remarks(results)])


def marked(task: TaskDescription) -> str:
    """Its name, with a mark if its metrics are over too few."""
    return f"{task.name} {FEW}" if task.is_small else task.name


def remarks(results: Results) -> list[str]:
    """What a reader of the figures has to know besides, a sentence each."""
    small = [task for task in results.tasks if task.is_small]
    said = [
        f"{FEW} {task.name} has only {task.judged} to judge by, fewer than {ENOUGH[task.kind]}: too few to "
        "tell encoders apart"
        for task in small
    ]
    said += [f"{task.name}: {note}" for task in results.tasks for note in task.notes]
    for one in results.encoders:
        said += [
            f"{one.name} at {dim} dimensions: {count:,} of {one.texts:,} texts have a vector of 0"
            for dim, count in one.zero_vectors.items()
        ]
    said += [f"{name} was passed over: {why}" for name, why in results.without.items()]
    unsolved = [row for row in results.figures if row.chosen.get("gradient", 0.0) > GRADIENT]
    said += [
        f"{row.task}, {row.encoder} at {row.dimension} dimensions: the probe did not converge; its gradient "
        f"is still {row.chosen['gradient']:.1e}"
        for row in unsolved
    ]
    return said


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose columns stand under each other, the first two to the left."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [_line(row, widths) for row in table]


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    cells = zip(row, widths, strict=True)
    return "  ".join(
        cell.ljust(width) if place < 2 else cell.rjust(width) for place, (cell, width) in enumerate(cells)
    ).rstrip()


def _value(row: Result | None) -> str:
    return "" if row is None else f"{row.value:.4f} ±{row.standard_error:.4f}"


def _share(own: Result, other: Result | None) -> str:
    return "" if other is None or not other.value else f"{100 * own.value / other.value:.1f} %"
