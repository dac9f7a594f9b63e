"""Measures the reader of files of rows: rows/s and peak memory by format, each in a process of its own.

    python -m bench.reading [ROWS]      by default 1,000,000

A row is a user, an item, a time and a text of `bench.texts`. Rates are by CPU time, so that other work on the
machine counts little. One JSON line per file.
"""

from __future__ import annotations

import csv
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import IO, Any

from bench.servers import ROOT
from bench.texts import texts

COLUMNS = ["user", "item", "time", "text"]
DISTINCT = 20_000  # texts before they come again


def rows(count: int) -> Iterator[dict[str, Any]]:
    """A log with texts."""
    for number, text in enumerate(islice(cycle(texts(DISTINCT)), count)):
        user, item = f"u{number * 7919 % 50_000}", f"i{number * 104_729 % 9_000}"
        yield {"user": user, "item": item, "time": 1_600_000_000 + number, "text": text}


def write_separated(path: Path, count: int) -> None:
    """CSV, or TSV, by its name."""
    with _opened(path) as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t" if ".tsv" in path.name else ",")
        writer.writeheader()
        writer.writerows(rows(count))


def write_jsonl(path: Path, count: int) -> None:
    """One object a line."""
    with _opened(path) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows(count))


def write_parquet(path: Path, count: int) -> None:
    """All in one row group, which is the hardest case for memory."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(list(rows(count))), path, row_group_size=count)


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "wt", newline="", compresslevel=1)
    return path.open("w", newline="")


FILES: dict[str, Callable[[Path, int], None]] = {
    "log.csv": write_separated,
    "log.csv.gz": write_separated,
    "log.tsv": write_separated,
    "log.jsonl": write_jsonl,
    "log.jsonl.gz": write_jsonl,
    "log.parquet": write_parquet,
}


def read(path: Path) -> None:
    """Read every row of a file, and print the figures."""
    from tabular import named_rows

    started = time.process_time()
    count = sum(not row.fault for row in named_rows(path, COLUMNS))
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {"file": path.name, "mib": path.stat().st_size >> 20, "rows": count}
    print(json.dumps(figures | {"rows_per_s": round(count / seconds), "peak_mib": peak >> 10}), flush=True)


def main(arguments: list[str]) -> None:
    """Write each file and read it, in new processes: a child's peak is never less than its parent's."""
    match arguments:
        case ["write", path, count]:
            FILES[Path(path).name](Path(path), int(count))
        case ["read", path]:
            read(Path(path))
        case _:
            count = arguments[0] if arguments else "1000000"
            with tempfile.TemporaryDirectory() as directory:
                for name in FILES:
                    path = str(Path(directory) / name)
                    for step in (["write", path, count], ["read", path]):
                        subprocess.run([sys.executable, "-m", "bench.reading", *step], cwd=ROOT, check=True)
                    Path(path).unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
