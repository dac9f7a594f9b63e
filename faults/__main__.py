"""Runs the rows in their long form, keeps their figures, and writes the table of docs/reliability.md.

    python3 dev.py faults              every row; about twenty minutes
    python3 dev.py faults L1 F12       these, beside what the others gave before
    python3 dev.py faults --list       what there is
    python3 dev.py faults --short      as CI runs them, for a look; keeps nothing

A row that fails, or misses a target, does not stop the others; the exit status tells.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import described
from bench.servers import ROOT
from faults import results
from faults.figures import LONG, REPORT, Figure, read, worst
from faults.rows import ROWS

LONGEST_S = 3600.0  # of a row's tests; over it they failed. S3 takes half of it


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = _options(arguments)
    wanted = options.rows or list(ROWS)
    if unknown := sorted(set(wanted) - set(ROWS)):
        print(f"There is no row {', '.join(unknown)}; there are {', '.join(ROWS)}.", file=sys.stderr)
        return 2
    if options.list:
        print("\n".join(f"{name:4} {row.promise}" for name, row in ROWS.items()))
        return 0
    ran: dict[str, dict[str, Any]] = {}
    runs: dict[str, Run] = {}  # by tests, which rows may share
    for name in wanted:
        print(f"\n== {name}: {ROWS[name].promise}", flush=True)
        for tests in ROWS[name].tests:
            if tests not in runs:
                runs[tests] = _run(tests, is_long=not options.short)
        ran[name] = _result(name, [runs[tests] for tests in ROWS[name].tests])
        if not options.short:
            results.keep(options.out, {name: ran[name]})
    if options.out == results.FILE and not options.short:
        from docs.tables import with_tables  # noqa: PLC0415  # needs what --list goes without

        page = ROOT / "docs" / "reliability.md"
        page.write_text(with_tables(page.read_text()))
    print("\n" + results.table(ran))
    return int(not all(results.is_good(one) for one in ran.values()))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="by default all")
    parser.add_argument("--list", action="store_true", help="print the rows")
    parser.add_argument("--short", action="store_true", help="as CI runs them")
    parser.add_argument("--out", type=Path, default=results.FILE, help="JSON to keep the figures in")
    return parser.parse_args(arguments)


@dataclass(frozen=True)
class Run:
    """Tests that ran.

    Attributes:
        figures: of all rows that they belong to.
    """

    passed: bool
    seconds: float
    figures: Sequence[Figure]


def _result(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """What there is to keep of a row."""
    figures = [one for run in runs for one in run.figures if one.row == name]
    for one in figures:
        print(results.line(one), flush=True)
    return {
        "passed": all(run.passed for run in runs),
        "seconds": round(sum(run.seconds for run in runs), 1),
        "figures": [results.as_kept(one) for one in figures],
        "machine": described(),
    }


def _run(tests: str, *, is_long: bool) -> Run:
    """Run tests, as `Row` names them, and gather what they recorded."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "figures"
        passed = _passes(tests, {REPORT: str(report)} | ({LONG: "1"} if is_long else {}))
        return Run(passed, time.monotonic() - started_s, worst(read(report)))


def _passes(tests: str, variables: Mapping[str, str]) -> bool:
    file, _, expression = tests.partition("::")
    if not (ROOT / file).exists():
        print(f"{file} is not there", flush=True)
        return False
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", file]
    command += ["-k", expression] if expression else []
    try:
        done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"{file} took more than {LONGEST_S:.0f} s and was ended", flush=True)
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
