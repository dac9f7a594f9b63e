"""Figures, targets and the table: what misses its target is said to, and the worst of several counts."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from faults import results
from faults.figures import Figure, read, record, worst
from faults.rows import ROWS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "target", "is_met"),
    [
        (5.0, {"at_most": 5.0}, True),
        (5.1, {"at_most": 5.0}, False),
        (0.95, {"at_least": 0.95}, True),
        (0.94, {"at_least": 0.95}, False),
        (math.nan, {"at_most": 5.0}, False),
        (math.nan, {"at_least": 0.0}, False),
        (7.0, {}, True),
    ],
)
def test_a_target_is_met_or_missed(value: float, target: dict[str, float], is_met: bool) -> None:
    figure = Figure("F1", "back after", value, **target)
    result = {"passed": True, "figures": [results.as_kept(figure)], "seconds": 1.0}

    assert figure.is_met == is_met
    assert results.is_good(result) == is_met
    assert ("**missed**" in results.table({"F1": result})) == (not is_met)


def test_the_worst_of_several_counts(tmp_path: Path) -> None:
    report = str(tmp_path / "report")
    for value in (2.0, 9.0, 3.0):
        record(Figure("F1", "seconds", value, at_most=5.0), report)
        record(Figure("F1", "share", value, at_least=5.0), report)

    assert [one.value for one in worst(read(Path(report)))] == [9.0, 2.0]


def test_rows_that_run_again_leave_the_others_results(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    first, *_, last = ROWS
    results.keep(file, {last: {"passed": True}})
    results.keep(file, {first: {"passed": False}})
    results.keep(file, {first: {"passed": True}})

    assert results.kept(file) == {first: {"passed": True}, last: {"passed": True}}
    assert list(results.kept(file)) == [first, last]


def test_failed_tests_are_a_missed_row_whatever_they_measured() -> None:
    figure = results.as_kept(Figure("F1", "seconds", 1.0, at_most=5.0))
    result = {"passed": False, "figures": [figure]}

    assert not results.is_good(result)
    assert "its tests | pass | failed" in results.table({"F1": result})
