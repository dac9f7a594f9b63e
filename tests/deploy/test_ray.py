"""A cluster of Ray encodes files; of a node that is killed no row is lost, and none comes twice."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiny
from pyarrow import dataset, parquet
from shipped import ROOT, python_of

from encodery.bulk.tables import BundleEncoder

pytestmark = pytest.mark.cluster

ROWS, FILES = 12_000, 4
SAME = 1e-5  # float32 through another batch shape
WORDS = ("hello", "world", "the", "cat", "sat", "unheard", "dog")


def test_a_killed_node_loses_and_doubles_nothing(tmp_path: Path) -> None:
    python = python_of("cluster")
    tiny.publish_all(tmp_path / "models")
    texts = [f"{WORDS[row % 7]} {WORDS[row // 7 % 7]} {WORDS[row // 49 % 7]}" for row in range(ROWS)]
    table = pa.table({"id": range(ROWS), "text": texts})
    (tmp_path / "in").mkdir()
    for number in range(FILES):
        part = table.slice(number * ROWS // FILES, ROWS // FILES)
        parquet.write_table(part, tmp_path / "in" / f"{number}.parquet")

    program, *paths = (ROOT / "bench" / "ray_program.py", *map(tmp_path.joinpath, ("in", "out")))
    done = subprocess.run(
        [python, program, tmp_path / "models", "text", *paths, "--kill"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1200,
    )

    told = json.loads(done.stdout.splitlines()[-1])
    found = dataset.dataset(tmp_path / "out").to_table().sort_by("id")
    expected = BundleEncoder(tmp_path / "models", "text")(table)
    assert told["killed_after"]
    assert found["id"].to_pylist() == list(range(ROWS))
    assert found["fault"].null_count == ROWS
    of_cluster, here = (np.asarray(one["embedding"].combine_chunks().flatten()) for one in (found, expected))
    np.testing.assert_allclose(of_cluster, here, atol=SAME)
