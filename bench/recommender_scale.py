"""Trains a recommender on generated logs of growing size, and prints time and peak memory for each.

    python -m bench.recommender_scale [--judge] [MILLIONS ...]

A million items, 50 interactions a user, all in Parquet under a temporary directory. Each size runs in a
process of its own, so that its peak memory is its own. Times are CPU seconds of one thread: they say what
the work costs, also beside other work. `--judge` ranks all items for 500 users before and after training.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.servers import ROOT

SIZES = (1.0, 2.0, 4.0, 10.0)  # million interactions
ITEMS, GROUPS, PER_USER = 1_000_000, 1_000, 50
LOYAL = 0.8  # share of the interactions with items of the user's own group
ROWS = 1_000_000  # written at a time


def generate(directory: Path, interactions: int) -> None:
    """Write log.parquet and items.parquet: every item is taken at least once, some far more often."""
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(0)
    users = interactions // PER_USER
    items = np.arange(ITEMS)
    shelves = {"item": items.astype(str), "shelf": (items // (ITEMS // GROUPS)).astype(str)}
    parquet.write_table(pa.table(shelves), directory / "items.parquet")
    schema = pa.schema([("user", pa.int64()), ("item", pa.int64()), ("time", pa.float64())])
    with parquet.ParquetWriter(directory / "log.parquet", schema) as writer:
        for start in range(0, interactions, ROWS):
            count = min(ROWS, interactions - start)
            within = (random.random(count) ** 3 * (ITEMS // GROUPS)).astype(np.int64)  # a few are popular
            item = random.integers(0, GROUPS, count) * (ITEMS // GROUPS) + within
            if start == 0:
                item = random.permutation(ITEMS)[:count]
            own = item // (ITEMS // GROUPS) + GROUPS * random.integers(0, users // GROUPS, count)
            user = np.where(random.random(count) < LOYAL, own, random.integers(0, users, count))
            moment = random.uniform(1.0e9, 1.1e9, count)
            writer.write_table(pa.table({"user": user, "item": item, "time": moment}, schema=schema))


def config() -> dict[str, Any]:
    """Describe the run: one pass, by sampled softmax."""
    return {
        "kind": "recommender",
        "name": "scale",
        "description": "Generated.",
        "data": {
            "path": "log.parquet",
            "items": "items.parquet",
            "user": "user",
            "item": "item",
            "time": "time",
            "core": 1,
            "evaluation_users": 500,
        },
        "user": [{"name": "history", "kind": "history", "max_length": 64}],
        "item": [
            {"name": "id", "kind": "category", "column": "item", "dropout": 0.1},
            {"name": "shelf", "kind": "category"},
        ],
        "towers": {"item_dim": 64, "user": {"output_dim": 65}, "item": {"output_dim": 65}},
        "loss": {"sampled_softmax": {"uniform_negatives": 1000}},
        "train": {"epochs": 1, "batch_size": 4096, "learning_rate": 0.01, "metric": "ndcg@100"},
    }


def measure(directory: Path, *, is_judged: bool) -> dict[str, float]:
    """Read, train, judge; CPU seconds of each, and the peak of this process."""
    import torch

    from training.config import parse_config
    from training.metrics import MetricValue, Validation
    from training.recommender.settings import RecommenderRun
    from training.recommender.task import RecommenderTask
    from training.trainer import Trainer

    run = parse_config(config())
    assert isinstance(run, RecommenderRun)

    class Timed(RecommenderTask):
        judging_s = 0.0

        def evaluate(self) -> Validation:
            started = time.process_time()
            nothing = Validation({"ndcg@100": MetricValue(0.0, 0.0)})
            figures = super().evaluate() if is_judged else nothing
            self.judging_s += time.process_time() - started
            return figures

    torch.set_num_threads(1)  # more would wait for each other on a busy machine, and that costs CPU time
    started = time.process_time()
    task = Timed(run, directory)
    ready = time.process_time()
    state = Trainer(task, run.train, seed=0, directory=directory).fit()
    done = time.process_time()
    return {
        "interactions": len(task.examples.log.time),
        "items": len(task.examples.known),
        "steps": state.step,
        "read_s": ready - started,
        "train_s": done - ready - task.judging_s,
        "judge_s": task.judging_s,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "ndcg": state.best,
    }


def main(arguments: list[str]) -> int:
    """Print one row for each size."""
    flags = [one for one in arguments if one.startswith("--")]
    values = [one for one in arguments if one not in flags]
    if "--measure" in flags:
        print(json.dumps(measure(Path(values[0]), is_judged="--judge" in flags)))
        return 0
    print(
        "| million interactions | items | steps | read, s | train, s | s per million | judge, s | peak, GiB |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for millions in map(float, values or SIZES):
        with tempfile.TemporaryDirectory() as name:
            generate(Path(name), int(millions * 1_000_000))
            command = [sys.executable, "-m", "bench.recommender_scale", "--measure", *flags, name]
            done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        count = row["interactions"] / 1e6
        cells = [
            f"{count:.2f}",
            f"{row['items']:,}",
            f"{row['steps']}",
            f"{row['read_s']:.0f}",
            f"{row['train_s']:.0f}",
            f"{(row['read_s'] + row['train_s']) / count:.1f}",
            f"{row['judge_s']:.0f}",
            f"{row['peak_gib']:.1f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
