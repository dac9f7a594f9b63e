"""Comparisons, fits and migrations in words, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.manifest import Metric
from encodery.spaces.compare import Comparison
from encodery.spaces.migrate import Report
from encodery.spaces.thresholds import Threshold


def comparison_report(one: Comparison) -> str:
    """Lay a comparison out."""
    spaces = "one space: an index may stay" if one.is_same_space else "two spaces: an index may not stay"
    lines = [
        f"{one.old} -> {one.new}: {spaces}",
        f"{one.queries:,} queries, {one.documents:,} documents",
        *aligned([(name, f"{value:.3f}") for name, value in one.figures.items()]),
    ]
    if one.regressed:
        lines.append(f"lost most: {', '.join(one.regressed)}")
    return "\n".join([*lines, *thresholds_report(one.thresholds)])


def thresholds_report(found: Sequence[Threshold]) -> list[str]:
    """Say what old thresholds are worth; no line if nothing can be said."""
    if not found:
        return []
    head = ("old threshold", "new", "pairs that pass", "decided alike")
    rows = [(f"{one.old:.2f}", f"{one.new:.3f}", f"{one.share:.1%}", f"{one.agreement:.1%}") for one in found]
    return aligned([head, *rows])


def figures_report(figures: Mapping[str, Metric]) -> list[str]:
    """Say what an adapter keeps, beside what it is measured against."""
    return [
        f"{name}: {metric.value:.3f} adapted, "
        + ", ".join(f"{value:.3f} {other}" for other, value in metric.baselines.items())
        for name, metric in figures.items()
    ]


def migration_report(report: Report, out: Path) -> str:
    """Say what a migration has done, and what is to be searched now."""
    figures = {name: Metric(**found) for name, found in report.fit["figures"].items()}
    lines = [
        *figures_report(figures),
        *thresholds_report([Threshold(**one) for one in report.fit["thresholds"]]),
    ]
    lines.append(f"{report.encoded:,} of {report.rows:,} rows are encoded again")
    if report.bad:
        lines.append(f"{report.bad:,} rows are refused by the new encoder: {out.name}.bad.jsonl")
    if report.foreign:
        some = ", ".join(map(str, report.foreign[:10]))
        lines.append(
            f"{len(report.foreign):,} old vectors were not the old encoder's for their inputs: rows {some}"
        )
    lines.append(f"search {out.name if report.is_done else report.searched or 'the old file'}")
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
