"""Several runs that share a file give what one gives: no row is lost, and none comes twice."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from running import ROOT, until

from encodery.bulk.command import Job, Shard, Summary, run
from encodery.bulk.errors import BulkError

SAME = 1e-5  # float32 through another batch shape
TEXTS = ["hello", "the cat", "", "dog", "unheard", "a red lamp", " ", "sat", "the", "lamp"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    tiny.publish_all(directory)
    return directory


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


def encode(models: Path, source: Path, name: str, shard: Shard) -> tuple[Summary, list[dict[str, Any]]]:
    out = source.with_name(name)
    done = run(Job(source, out, "text", None, models, None, shard=shard, tell=lambda line: None))
    return done, [json.loads(line) for line in out.read_text().splitlines()]


@given(total=st.integers(0, 10**12), count=st.integers(1, 1000))
def test_shards_part_all_rows_evenly(total: int, count: int) -> None:
    found = [Shard(index, count).rows(total) for index in range(count)]

    assert (found[0].start, found[-1].stop) == (0, total)
    assert all(one.stop == other.start for one, other in pairwise(found))
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("count", [1, 2, 3, 10, 16])
def test_the_shards_together_are_the_whole(models: Path, source: Path, count: int) -> None:
    whole, expected = encode(models, source, "whole.jsonl", Shard())

    parts = [encode(models, source, f"{index}.jsonl", Shard(index, count)) for index in range(count)]

    rows = [row for _, found in parts for row in found]
    assert [row["row"] for row in rows] == [row["row"] for row in expected]
    np.testing.assert_allclose(
        [row["embedding"] for row in rows], [row["embedding"] for row in expected], atol=SAME
    )
    assert sum(done.bad for done, _ in parts) == whole.bad == 2
    assert [done.meta.get("shard") for done, _ in parts] == (
        [None] if count == 1 else [f"{index}/{count}" for index in range(count)]
    )


def test_a_killed_shard_goes_on_and_another_is_refused(models: Path, tmp_path: Path) -> None:
    count = 40_000
    path, out = tmp_path / "in.jsonl", tmp_path / "1.npy"
    path.write_text("".join(json.dumps({"text": f"{'the ' * (n % 12)}cat"}) + "\n" for n in range(count)))
    partial = tmp_path / "1.npy.partial"
    line = [sys.executable, "-m", "encodery", "encode", str(path), str(out), "--models-dir", str(models)]
    with subprocess.Popen([*line, "--shard", "1/2"], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        until(lambda: process.poll() is not None or any(partial.glob("*.npy")))
        process.kill()

    other = subprocess.run([*line, "--shard", "0/2"], cwd=ROOT, capture_output=True, text=True, check=False)
    subprocess.run([*line, "--shard", "1/2"], cwd=ROOT, capture_output=True, check=True)

    assert "was begun with another shard" in other.stderr
    assert np.load(out.with_name("1.npy.rows.npy")).tolist() == list(range(count // 2, count))
    assert len(np.load(out)) == count // 2


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/4/8", "0.5/4", "1 /4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(BulkError, match="--shard is INDEX/COUNT"):
        Shard.parsed(text)
