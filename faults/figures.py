"""What a row measured, beside its target; kept as lines of JSON while tests run, which may be processes.

A test records with the fixture `figure` of tests/faults/conftest.py. It knows nothing of how rows are run.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

LONG = "ENCODERY_FAULTS_LONG"  # variable: set, tests take their long form
REPORT = "ENCODERY_FAULTS_REPORT"  # variable: the file that figures are written to


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        row: of the table, such as `F1`.
        name: what was measured, for a reader.
        at_most, at_least: the target, one of the two; none for a figure that is only shown.
        unit: shown after the number.
    """

    row: str
    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """The target is reached; a number that is none never is."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.at_least is None or self.value >= self.at_least

    @property
    def badness(self) -> float:
        """More is worse."""
        if math.isnan(self.value):
            return math.inf
        return -self.value if self.at_least is not None else self.value


def is_long() -> bool:
    """Tests take their long form."""
    return bool(os.environ.get(LONG))


def record(figure: Figure, report: str | None = None) -> None:
    """Write it to the report, if there is one."""
    if path := report or os.environ.get(REPORT):
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(figure)) + "\n")  # one write: other processes append, too


def read(report: Path) -> Iterator[Figure]:
    """Every figure that was recorded, in order."""
    for line in report.read_text().splitlines() if report.exists() else ():
        yield Figure(**json.loads(line))


def worst(figures: Iterable[Figure]) -> list[Figure]:
    """Of a figure that was measured several times the worst, in the order of the first."""
    found: dict[tuple[str, str], Figure] = {}
    for figure in figures:
        key = (figure.row, figure.name)
        if key not in found or figure.badness > found[key].badness:
            found[key] = figure
    return list(found.values())
