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
from pathlib import Path
from typing import Any

from bench.machine import described
from bench.servers import ROOT
from docs.tables import with_tables
from faults import results
from faults.figures import LONG, REPORT, read, worst
from faults.rows import ROWS, Row

LONGEST_S = 900.0  # of a row; over it the row failed
ENDED_BY_TIME = 124  # as the status of `timeout`, the command


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
    ran = {}
    for name in wanted:
        ran[name] = _run(name, ROWS[name], is_long=not options.short)
        if not options.short:
            results.keep(options.out, {name: ran[name]})
    if options.out == results.FILE and not options.short:
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


def _run(name: str, row: Row, *, is_long: bool) -> dict[str, Any]:
    """Run the row's tests, and gather what they recorded."""
    print(f"\n== {name}: {row.promise}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "figures"
        variables = {REPORT: str(report)} | ({LONG: "1"} if is_long else {})
        started_s = time.monotonic()
        statuses = [_pytest(test, variables) for test in row.tests]
        figures = [one for one in worst(read(report)) if one.row == name]
    for one in figures:
        print(results.line(one), flush=True)
    return {
        "passed": not any(statuses),
        "seconds": round(time.monotonic() - started_s, 1),
        "figures": [results.as_kept(one) for one in figures],
        "machine": described(),
    }


def _pytest(test: str, variables: Mapping[str, str]) -> int:
    file, _, expression = test.partition("::")
    if not (ROOT / file).exists():
        print(f"{file} is not there", flush=True)
        return 1
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", file]
    command += ["-k", expression] if expression else []
    try:
        done = subprocess.run(command, cwd=ROOT, env=os.environ | variables, timeout=LONGEST_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"{file} took more than {LONGEST_S:.0f} s and was ended", flush=True)
        return ENDED_BY_TIME
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
