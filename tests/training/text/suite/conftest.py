"""A directory with one small set of every form, made of the words that the tiny encoder knows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from text_sets import write_csv, write_retrieval

WORDS = {"<cats>": ["cat", "sat", "mat"], "dogs": ["dog", "ran", "hello"], "lamps": ["red", "blue", "lamp"]}


def sentence(random: np.random.Generator, label: str) -> str:
    words = random.choice(WORDS[label], size=int(random.integers(2, 8)))
    return " ".join(["the", *words])


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """graded, found, intents, spoken and titles."""
    root, random, labels = tmp_path_factory.mktemp("sets"), np.random.default_rng(0), list(WORDS)
    for name in ("graded", "found", "intents", "spoken", "titles"):
        (root / name).mkdir()

    def labelled(count: int) -> list[tuple[str, str]]:
        return [(sentence(random, label), label) for label in labels * (count // 3)]

    for split in ("dev", "test"):
        rows = [
            (sentence(random, a), sentence(random, b), float(a == b) + random.random() / 2)
            for a in labels * 6
            for b in labels
        ]
        write_csv(root / "graded" / f"graded-{split}.csv", rows)
    write_csv(root / "intents" / "train.csv", [("text", "category"), *labelled(120)])
    write_csv(root / "intents" / "test.csv", [("text", "category"), *labelled(30)])
    spoken = {"train": labelled(90), "val": labelled(30), "test": labelled(30), "oos_val": [["x", "oos"]]}
    (root / "spoken" / "data.json").write_text(json.dumps(spoken))
    (root / "spoken" / "domains.json").write_text('{"pets": ["dogs"]}')
    titles = labelled(120)
    (root / "titles" / "title_set.txt").write_text("".join(f"{text}\n" for text, _ in titles))
    (root / "titles" / "label_set.txt").write_text("".join(f"{label}\n" for _, label in titles))
    write_retrieval(root / "found", [(f"d{i}", text) for i, (text, _) in enumerate(labelled(60))])
    return root
