"""What is said of runs on a cluster, of given ones."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from bench.cluster import counted, page

MACHINE = {"cpu": "a", "cores": 2, "commit": "abc", "date": "2026-11-30"}


def test_rows_that_are_missing_and_that_came_twice_are_counted(tmp_path: Path) -> None:
    table = pa.table({"id": [0, 1, 1, 3], "fault": pa.array([None, None, None, "bad"], pa.string())})
    parquet.write_table(table, tmp_path / "part.parquet")

    assert counted(tmp_path, 4) == {"lost": 1, "doubled": 1, "faults": 1}


def test_the_rate_on_a_cluster_is_told_as_a_share_turn_by_turn() -> None:
    times = [(8.0, 10.0), (9.0, 18.0), (7.0, 10.0)]
    turns = [{"model": "text", "rows": 1000, "one_s": one, "ray_s": ray} for one, ray in times]
    kills = [{"model": "text", "rows": 1000, "seconds": 12.5, "lost": 0, "doubled": 1}]

    told = page({"machine": MACHINE, "turns": turns, "kills": kills})

    assert "| `text` | 1,000 | one process | 3 | 8.0; 9.0 | 125 | 1 | | |" in told
    assert "| `text` | 1,000 | Ray, two nodes | 3 | 10.0; 18.0 | 100 | 0.70 | | |" in told
    assert "| `text` | 1,000 | Ray, a node killed | 1 | 12.5; 12.5 | 80 | | 0 | 1 |" in told
