"""What a run of the suite found: results.json, and the table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from training.metrics import MetricValue
from training.text.suite.task import Split, TaskDescription

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class MeasuredEncoder:
    """One encoder.

    Attributes:
        dimensions: lengths that were measured, the longest first.
        texts: distinct texts encoded.
        seconds: what that took; nothing where vectors were kept from an earlier run.
        texts_per_s: on a fixed sample of them, the best of several passes.
    """

    name: str
    version: str
    space: str
    source: str
    dimensions: tuple[int, ...]
    texts: int
    seconds: float
    texts_per_s: float


@dataclass(frozen=True)
class Result:
    """One metric of one encoder, or of a method without vectors: then `dimension` is None."""

    task: str
    kind: str
    figure: str
    encoder: str
    dimension: int | None
    value: float
    standard_error: float


@dataclass(frozen=True)
class Results:
    """All of it; the first encoder is the one that is measured."""

    suite: str
    split: Split
    created: str
    machine: str
    encoders: list[MeasuredEncoder]
    tasks: list[TaskDescription]
    figures: list[Result]

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
        Result(about.name, about.kind, name, encoder, dimension, one.mean, one.standard_error)
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
            table.append([task.name, name, *map(_value, full), *map(_value, bare), *shares])
    return table


def dimension_table(results: Results) -> list[list[str]]:
    """The headlines of the first encoder at each length."""
    first = results.encoders[0]
    table = [["task", "figure", *(f"{dim} d" for dim in first.dimensions)]]
    for task in results.tasks:
        found = results.of(task, task.headline)
        table.append(
            [task.name, task.headline, *(_value(found[first.name, dim]) for dim in first.dimensions)]
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
    lines += [f"{task.name}: {task.size}; {task.split}" for task in results.tasks]
    return "\n".join(lines)


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
