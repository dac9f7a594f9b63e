"""Measures encoding on a cluster of Ray, two nodes on this machine, beside one process on the same cores.

    python3 dev.py bench --cluster [--rounds 3] [--kills 10] [--model text] [--rows 50000] [--more]

In turns: `encodery encode` from Parquet to Parquet, and the same rows by Ray Data with `BundleEncoder` on two
nodes; the start of the cluster is not counted, that of its actors is. Then a node is killed in each of so
many runs, after three of its batches; every row must come out, once. --more adds to the runs that the results
have, for example those of another model. Needs `.venv/cluster`: `python3 dev.py apart cluster`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import texts
from bench.machine import described
from bench.servers import ROOT, Unavailable

FILES = 8
PROGRAM = ROOT / "bench" / "ray_program.py"


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    options = _options(arguments)
    kept = options.out / "cluster.json"
    before: dict[str, Any] = json.loads(kept.read_text()) if options.more and kept.exists() else {}
    turns: list[dict[str, Any]] = before.get("turns", [])
    kills: list[dict[str, Any]] = before.get("kills", [])
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        _write(work, options.rows)
        for _ in range(options.rounds):
            found = {"one_s": _one(work, options.model), "ray_s": _on_ray(work, options.model)["seconds"]}
            turns.append({"model": options.model, "rows": options.rows, **found})
            print(json.dumps(turns[-1]), flush=True)
        for _ in range(options.kills):
            told = {"model": options.model, "rows": options.rows, **_on_ray(work, options.model, "--kill")}
            kills.append(told | counted(work / "out", options.rows))
            print(json.dumps(kills[-1]), flush=True)
    results = {"machine": described(), "turns": turns, "kills": kills}
    options.out.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "cluster.md").write_text(page(results))
    print(page(results))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dev.py bench --cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--model", default="text")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--more", action="store_true", help="keep the runs that are there")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    return parser.parse_args(arguments)


def _write(work: Path, rows: int) -> None:
    """The rows as one file, and as several."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"id": range(rows), "text": texts.texts(rows)})
    parquet.write_table(table, work / "all.parquet")
    (work / "in").mkdir()
    for number in range(FILES):
        begin, end = (rows * one // FILES for one in (number, number + 1))
        parquet.write_table(table.slice(begin, end - begin), work / "in" / f"{number}.parquet")


def _one(work: Path, model: str) -> float:
    """Seconds of one process, its start and end included."""
    out = work / "one.parquet"
    out.unlink(missing_ok=True)
    places = [str(work / "all.parquet"), str(out), "--models-dir", "models"]
    command = [sys.executable, "-m", "encodery", "encode", *places, "--model", model, "--keep", "id"]
    began_s = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return round(time.monotonic() - began_s, 1)


def _on_ray(work: Path, model: str, *options: str) -> dict[str, Any]:
    """What the program told; without the start of the cluster. Raises Unavailable."""
    python = ROOT / ".venv" / "cluster" / "bin" / "python"
    if not python.exists():
        raise Unavailable("there is no .venv/cluster; python3 dev.py apart cluster")
    shutil.rmtree(work / "out", ignore_errors=True)
    done = subprocess.run(
        [str(python), str(PROGRAM), "models", model, str(work / "in"), str(work / "out"), *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def counted(out: Path, rows: int) -> dict[str, int]:
    """Rows that are not there, that are there twice, and that have no vector."""
    from pyarrow import dataset

    table = dataset.dataset(out).to_table(columns=["id", "fault"])
    found = Counter(table["id"].to_pylist())
    return {
        "lost": len(set(range(rows)) - found.keys()),
        "doubled": sum(count - 1 for count in found.values()),
        "faults": rows - table["fault"].null_count,
    }


def page(results: Mapping[str, Any]) -> str:
    """Write the figures, by model."""
    machine, turns, kills = results["machine"], results["turns"], results["kills"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, commit `{machine['commit']}`, {machine['date']}; "
        f"Parquet to Parquet.",
        "",
        "| model | texts | run | times | seconds; most | rows/s | of one process's | lost | doubled |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for model, rows in dict.fromkeys((one["model"], one["rows"]) for one in [*turns, *kills]):
        of_turns, of_kills = (
            [one for one in some if (one["model"], one["rows"]) == (model, rows)] for some in (turns, kills)
        )
        begin = f"| `{model}` | {rows:,} |"
        if of_turns:
            one_s, ray_s = ([one[key] for one in of_turns] for key in ("one_s", "ray_s"))
            share = statistics.median(a / b for a, b in zip(one_s, ray_s, strict=True))
            lines.append(f"{begin} one process | {_times(one_s, rows)} | 1 | | |")
            lines.append(f"{begin} Ray, two nodes | {_times(ray_s, rows)} | {share:.2f} | | |")
        if of_kills:
            lost, doubled = (sum(one[key] for one in of_kills) for key in ("lost", "doubled"))
            seconds = [one["seconds"] for one in of_kills]
            lines.append(f"{begin} Ray, a node killed | {_times(seconds, rows)} | | {lost} | {doubled} |")
    return "\n".join(lines) + "\n"


def _times(seconds: Sequence[float], rows: int) -> str:
    median = statistics.median(seconds)
    return f"{len(seconds)} | {median:.1f}; {max(seconds):.1f} | {rows / median:,.0f}"
