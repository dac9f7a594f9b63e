"""Several processes train one run: real ones, as torchrun starts them, that meet over gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.processes import tree_of
from training.commands import train
from training.trainer import BEST, CHECKPOINT, LOG

ROOT = Path(__file__).parents[2]
RANKS = 2
SAME = 1e-6  # a share is padded to its own longest text, so sums are rounded in another order
CONFIG = """
kind = "text"
name = "tiny"
description = "a tiny encoder"

[data]
pairs = [{ path = "pairs.tsv.gz" }]
labels = [{ path = "labels.csv" }]
graded = "graded.csv"

[vocabulary]
size = 200
max_length = 32

[model]
embedding_dim = 16
[model.hidden]
widths = [24]
output_dim = 16

[loss.infonce]
[loss.cross_entropy]

[train]
epochs = EPOCHS
batch_size = 65
learning_rate = 5e-3
metric = "spearman"
threads = 1
checkpoint_every_s = 0.2
"""
WHOLE = CONFIG.replace("EPOCHS", "4")
NOISY = CONFIG.replace("EPOCHS", "30").replace("widths = [24]", "widths = [24]\ndropout = 0.2")


def start(config: str, place: Path, data: Path) -> subprocess.Popen[str]:
    """The run by torchrun, in `place`, which may hold a part of it."""
    place.mkdir(exist_ok=True)
    (place / "tiny.toml").write_text(config)
    # "--", or torchrun takes our --run for an abbreviation of its own options
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={RANKS}",
        "-m",
        "--",
        "encodery",
    ]
    given = ["--data", data, "--models-dir", place / "models", "--run", place / "run"]
    return subprocess.Popen(
        [sys.executable, *torchrun, "train", *map(str, [place / "tiny.toml", *given])],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(config: str, place: Path, data: Path) -> str:
    """Run it to the end; what it said."""
    process = start(config, place, data)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def best(place: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(place / "run" / BEST, weights_only=True)
    return found


def rows(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "run" / LOG).read_text().splitlines()]


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run with dropout that nobody stopped."""
    place = tmp_path_factory.mktemp("noisy")
    finish(NOISY, place, data)
    return place


def test_two_processes_end_with_the_weights_of_one(data: Path, tmp_path: Path) -> None:
    """Both losses are of all vectors of a batch, and the head of the labels is computed in both."""
    said = finish(WHOLE, tmp_path / "two", data)
    (tmp_path / "tiny.toml").write_text(WHOLE)
    train(tmp_path / "tiny.toml", data=data, models=tmp_path / "models", run=tmp_path / "run")

    one = best(tmp_path)
    for name, weights in best(tmp_path / "two").items():
        torch.testing.assert_close(weights, one[name], rtol=0, atol=SAME)
    assert [row["step"] for row in rows(tmp_path / "two")] == [row["step"] for row in rows(tmp_path)]
    assert said.count("published tiny/1") == 1


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_run_that_was_interrupted_ends_as_one_that_was_not(
    noisy: Path, data: Path, tmp_path: Path, *, is_killed: bool
) -> None:
    """Each process goes on with its own noise. torchrun passes on a signal, and ends all where one died."""
    process = start(NOISY, tmp_path, data)
    until = time.monotonic() + 120
    while not (tmp_path / "run" / CHECKPOINT).exists() and time.monotonic() < until:
        time.sleep(0.02)
    if is_killed:
        os.kill(tree_of(process.pid)[-1], signal.SIGKILL)
    else:
        process.terminate()
    _, said = process.communicate(timeout=120)
    stopped = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["state"]
    finish(NOISY, tmp_path, data)

    assert not stopped["done"]
    assert process.returncode != 0
    assert "run the same command to go on" in said
    for name, weights in best(noisy).items():
        assert torch.equal(weights, best(tmp_path)[name])
    assert rows(tmp_path) == rows(noisy)


def test_a_kind_of_run_that_one_process_trains_says_so(data: Path, tmp_path: Path) -> None:
    config = (ROOT / "training" / "configs" / "retail.toml").read_text()
    process = start(config, tmp_path, data)
    _, said = process.communicate(timeout=120)

    assert process.returncode != 0
    assert "a run of kind recommender is trained by one process, and torchrun started 2" in said
    assert not (tmp_path / "run").exists()
