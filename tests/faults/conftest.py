"""For tests that are rows of the fault harness: faults/rows.py says which is which.

CI runs the short form of each, under two minutes for all together on a slow, busy machine: assert what must
always hold. `python3 dev.py faults [ROW ...]` runs the long form and keeps figures for docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import pytest

from faults.figures import Figure, is_long, record

T = TypeVar("T")


class Effort(Protocol):
    """`effort(short, long)` is the one that this run takes: a count, seconds, a list of cases."""

    def __call__(self, short: T, long: T) -> T: ...


@pytest.fixture(scope="session")
def effort() -> Effort:
    return lambda short, long: long if is_long() else short


@pytest.fixture(scope="session")
def figure() -> Callable[..., None]:
    """`figure("F1", "capacity back after", 2.7, at_most=5.0, unit="s")` records a figure of a row.

    Of one that is recorded several times, the worst counts. Without a report to write to it does nothing:
    what must hold on any machine is asserted as well.
    """

    def recorded(row: str, name: str, value: float, **target: float | str | None) -> None:
        record(Figure(row, name, float(value), **target))  # type: ignore[arg-type]

    return recorded
