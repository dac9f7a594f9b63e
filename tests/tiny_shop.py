"""A small shop whose right answers are known: customers of group g buy items of group g, newest last.

Every item's title holds its group's word, so content alone tells where a new item belongs.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

GROUPS = ("garden", "kitchen", "office")
ITEMS_PER_GROUP = 12
USERS = 90
BASKET = 8
DAY_S = 86_400


def write_log(path: Path, *, seed: int = 0) -> None:
    """One line per purchase: user, item, time, title, price, country, tags."""
    random_ = random.Random(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user", "item", "time", "title", "price", "country", "tags"])
        for user in range(USERS):
            group = user % len(GROUPS)
            numbers = random_.sample(range(ITEMS_PER_GROUP), BASKET)
            for day, number in enumerate(numbers):
                writer.writerow(line_of(user, group, number, day))


def line_of(user: int, group: int, number: int, day: int) -> list[Any]:
    item = f"{GROUPS[group][0]}{number}"
    title = f"{GROUPS[group]} thing {number}"
    price, tags = 1.0 + group, f"{GROUPS[group]}|all"
    return [f"u{user}", item, 1_000_000 + day * DAY_S, title, price, ("GB", "DE")[user % 2], tags]


def config(**changes: Any) -> dict[str, Any]:
    """A run on that log; `changes` replace whole tables."""
    return {
        "kind": "recommender",
        "name": "shop",
        "description": "A shop with three groups of goods.",
        "data": {"path": "log.csv", "user": "user", "item": "item", "time": "time", "core": 2},
        "user": [
            {"name": "history", "kind": "history", "max_length": 20},
            {"name": "country", "kind": "category", "dim": 4},
        ],
        "item": [
            {"name": "id", "kind": "category", "column": "item", "dropout": 0.3},
            {"name": "title", "kind": "text"},
            {"name": "price", "kind": "number", "log1p": True},
            {"name": "tags", "kind": "bag", "max_length": 4},
        ],
        "towers": {
            "item_dim": 16,
            "half_lives_days": [30.0],
            "user": {"output_dim": 8},
            "item": {"output_dim": 8},
        },
        "train": {
            "epochs": 15,
            "batch_size": 16,
            "learning_rate": 0.03,
            "metric": "ndcg@100",
            "threads": 1,
        },
    } | changes
