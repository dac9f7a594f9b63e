"""A shop whose customers' segments say what they buy: three quarters of it from their segment's own group.

Within a group some items are bought far more often than others. What a segment is, every kind of feature
tells; `noise` tells nothing of anybody.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

SEGMENTS = ("young", "middle", "old")
COLUMNS = ("user", "item", "time", "segment", "likes", "about", "age", "joined", "noise")
NOW = 1_300_000_000
# Kind of feature -> a feature of the user side that tells the segment.
FEATURES: dict[str, dict[str, Any]] = {
    "category": {"name": "segment", "kind": "category"},
    "bag": {"name": "likes", "kind": "bag"},
    "text": {"name": "about", "kind": "text"},
    "number": {"name": "age", "kind": "number"},
    "time": {"name": "joined", "kind": "time"},
}
NOISE = {"name": "noise", "kind": "category"}


def write_log(
    path: Path, *, users: int = 400, items: int = 90, loyalty: float = 0.75, basket: float = 10, seed: int = 0
) -> None:
    """One line per purchase, with what is known of the customer."""
    random = np.random.default_rng(seed)
    size = items // len(SEGMENTS)
    skew = 1.0 / np.arange(1, size + 1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for user in range(users):
            group = int(random.integers(len(SEGMENTS)))
            known = told(group, random)
            for day in range(5 + int(random.poisson(basket - 5))):
                other = int(random.integers(len(SEGMENTS)))
                of = group if random.random() < (loyalty - 1 / 3) * 1.5 else other
                item = of * size + int(random.choice(size, p=skew / skew.sum()))
                writer.writerow([f"u{user}", f"i{item:03}", NOW + 86_400 * day, *known])


def told(group: int, random: np.random.Generator) -> list[Any]:
    """What a customer of a segment says: in the order of COLUMNS, from `segment` on."""
    age = 25 + 20 * group + random.normal(0, 3)
    about = f"I am a {SEGMENTS[group]} person number {random.integers(50)}"
    likes, noise = f"{SEGMENTS[group]} things|all", f"n{random.integers(10)}"
    joined = NOW - 86_400 * 30 * 5**group * random.uniform(0.8, 1.2)  # a month, half a year, two years ago
    return [SEGMENTS[group], likes, about, f"{age:.1f}", int(joined), noise]


def group_of(item: str, items: int = 90) -> int:
    """The group that an item is of."""
    return int(item[1:]) // (items // len(SEGMENTS))


def config(*features: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A run on that log, with these features of users besides the history; `changes` replace whole tables."""
    return {
        "kind": "recommender",
        "name": "segments",
        "description": "A shop with segments of customers.",
        "data": {"path": "log.csv", "user": "user", "item": "item", "time": "time", "core": 2},
        "user": [{"name": "history", "kind": "history", "max_length": 30}, *features],
        "item": [{"name": "id", "kind": "category", "column": "item", "dropout": 0.1}],
        "towers": {
            "item_dim": 121,
            "half_lives_days": [20.0],
            "initialisation": {"ease_lambda": 50.0, "popularity": 0.2},
            "user": {"output_dim": 61},
            "item": {"output_dim": 61},
        },
        "loss": {"target_fraction": [0.1, 0.4]},
        "train": {
            "epochs": 2,
            "batch_size": 64,
            "learning_rate": 3e-5,
            "metric": "ndcg@100",
            "threads": 1,
        },
    } | changes
