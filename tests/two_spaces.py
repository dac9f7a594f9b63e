"""Files of inputs, and trainings of one model: `text` 1, a slight change of it, and one that is turned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tiny

from bundle import publish


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sentences(count: int, seed: int = 0) -> list[str]:
    """Different texts of a few known words."""
    random, found = np.random.default_rng(seed), dict[str, None]()
    while len(found) < count:
        found[" ".join(random.choice(tiny.WORDS[1:], random.integers(2, 9)))] = None
    return list(found)


def publish_trainings(models: Path) -> Path:
    """`text` 1; 2, nearly the same; 3, turned and a little different; and a pair, twice."""
    table = tiny.token_table()
    random = np.random.default_rng(7)
    turn, _ = np.linalg.qr(random.standard_normal((tiny.DIM, tiny.DIM)))
    noise = random.standard_normal(table.shape).astype(np.float32)
    for changed in (table, table + 0.01 * noise, (table @ turn + 0.05 * noise).astype(np.float32)):
        publish(models, [tiny.text_draft(table=changed)])
    for seed in (0, 1):
        publish(models, tiny.pair_drafts(seed=seed))
    return models
