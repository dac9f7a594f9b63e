"""Encodes files of Parquet on a cluster of Ray, two nodes that encode on this machine; one may be killed.

Run by `.venv/cluster`, which has Ray and the serving environment, for `bench.cluster` and tests:

    ray_program.py MODELS MODEL IN OUT [--kill]

It prints what it saw as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.cluster_utils import Cluster

from encodery.bulk.tables import BundleEncoder

ROWS_PER_BATCH = 1024
AFTER_BATCHES = 3  # of the node that is killed


class Watched(BundleEncoder):
    """Leaves a file for each batch, named after the node that encoded it."""

    def __call__(self, table: pa.Table) -> pa.Table:
        encoded = super().__call__(table)
        node = ray.get_runtime_context().get_node_id()
        (Path(os.environ["BATCHES"]) / f"{node}.{time.monotonic_ns()}").touch()
        return encoded


def main() -> None:
    """Encode, and tell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("model")
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kill", action="store_true")
    arguments = parser.parse_args()

    batches = Path(tempfile.mkdtemp())
    os.environ["BATCHES"] = str(batches)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=2, resources={"encoding": 2}) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    cluster.wait_for_nodes()
    killed: list[int] = []
    if arguments.kill:
        threading.Thread(target=_kill_one, args=(cluster, nodes, batches, killed), daemon=True).start()

    ray.data.DataContext.get_current().enable_progress_bars = False
    started_s = time.monotonic()
    ray.data.read_parquet(str(arguments.source)).repartition(
        target_num_rows_per_block=ROWS_PER_BATCH
    ).map_batches(
        Watched,
        fn_constructor_kwargs={"models": str(arguments.models), "model": arguments.model},
        batch_format="pyarrow",
        batch_size=ROWS_PER_BATCH,
        num_cpus=1,
        resources={"encoding": 1},  # the head reads and writes
        compute=ray.data.ActorPoolStrategy(size=2),
    ).write_parquet(str(arguments.out))
    seconds = round(time.monotonic() - started_s, 1)
    by_node = Counter(path.name.partition(".")[0] for path in batches.iterdir())
    told = {"seconds": seconds, "killed_after": killed, "batches": sorted(by_node.values())}
    sys.stdout.write(json.dumps(told) + "\n")
    ray.shutdown()
    cluster.shutdown()


def _kill_one(cluster: Cluster, nodes: list[Any], batches: Path, killed: list[int]) -> None:
    """Kill the first node that has done its batches, without a word to it."""
    while not killed:
        time.sleep(0.02)
        done = Counter(path.name.partition(".")[0] for path in batches.iterdir())
        for node in nodes:
            if done[node.node_id] >= AFTER_BATCHES and len(done) == len(nodes):
                cluster.remove_node(node, allow_graceful=False)
                killed.append(done[node.node_id])
                return


if __name__ == "__main__":
    main()
