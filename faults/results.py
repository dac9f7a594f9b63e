"""The figures that rows gave when they were last run, in a file; and the table that pages and people read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from faults.figures import Figure
from faults.rows import ROWS

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
FILE = RESULTS / "faults.json"
BEFORE = RESULTS / "faults-before.json"  # of an earlier commit, to compare with

Result: TypeAlias = Mapping[str, Any]  # of one row: passed, seconds, figures, machine
Results: TypeAlias = Mapping[str, Result]  # by row


def kept(file: Path = FILE) -> dict[str, Result]:
    """What rows gave when they were last run."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def keep(file: Path, new: Results) -> None:
    """Put these rows' results in the place of what they gave before."""
    both = {**kept(file), **new}
    ordered = {row: both[row] for row in ROWS if row in both}
    file.write_text(json.dumps(ordered, indent=1) + "\n")


def as_kept(figure: Figure) -> dict[str, Any]:
    """Without its row, under which it is kept, and without what it does not have."""
    return {
        name: value for name, value in asdict(figure).items() if name != "row" and value not in (None, "")
    }


def figures_of(row: str, result: Result) -> list[Figure]:
    """Read what `as_kept` made."""
    return [Figure(row, **one) for one in result["figures"]]


def is_good(result: Result) -> bool:
    """Its tests passed, and every target was met."""
    return bool(result["passed"]) and all(one.is_met for one in figures_of("", result))


def line(figure: Figure) -> str:
    """For a person at a terminal."""
    target = f"  (target {_target(figure)})" if _target(figure) else ""
    return (
        f"   {figure.name}: {_number(figure.value, figure.unit)}{target}{'' if figure.is_met else '  MISSED'}"
    )


def table(results: Results, before: Results | None = None) -> str:
    """One line for each figure; a row without any has one line that says whether its tests passed."""
    before = before or {}
    lines = ["| row | figure | target | result | before | |", "|---|---|---|---|---|---|"]
    for row, result in results.items():
        lines += _lines(row, result, before.get(row))
    return "\n".join(lines) + "\n"


def _lines(row: str, result: Result, before: Result | None) -> Iterator[str]:
    earlier = {one.name: one for one in figures_of(row, before)} if before else {}
    if not result["passed"]:
        yield f"| {row} | its tests | pass | failed | | **missed** |"
    elif not result["figures"]:
        yield f"| {row} | its tests | pass | passed | | met |"
    for one in figures_of(row, result):
        was = _number(earlier[one.name].value, one.unit) if one.name in earlier else ""
        verdict = "" if not _target(one) else "met" if one.is_met else "**missed**"
        yield f"| {row} | {one.name} | {_target(one)} | {_number(one.value, one.unit)} | {was} | {verdict} |"


def _target(figure: Figure) -> str:
    if figure.at_most is not None:
        return f"≤ {_number(figure.at_most, figure.unit)}"
    return "" if figure.at_least is None else f"≥ {_number(figure.at_least, figure.unit)}"


def _number(value: float, unit: str) -> str:
    """Three digits that count."""
    if math.isnan(value):
        return "none"
    shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return f"{shown} {unit}".strip()


def page_table() -> str:
    """Print what docs/reliability.md shows: promises, then figures, then when and where each row ran."""
    results = kept()
    lines = ["| row | what the server does | how it is made to |", "|---|---|---|"]
    lines += [f"| {name} | {row.promise} | {row.how} |" for name, row in ROWS.items()]
    lines += ["", table(results, kept(BEFORE))]
    for (cpu, cores, commit, date), rows in _runs(results).items():
        lines.append(f"- {', '.join(rows)}: {cpu}, {cores} cores, commit `{commit}`, {date}.")
    if missing := [name for name in ROWS if name not in results]:
        lines.append(f"- Not run yet: {', '.join(missing)}.")
    return "\n".join(lines) + "\n"


def _runs(results: Results) -> dict[tuple[Any, ...], list[str]]:
    found: dict[tuple[Any, ...], list[str]] = {}
    for row, result in results.items():
        key = tuple(result["machine"][name] for name in ("cpu", "cores", "commit", "date"))
        found.setdefault(key, []).append(row)
    return found
