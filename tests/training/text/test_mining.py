"""Hard negatives: near, not right, the same whatever the size of the blocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tiny_training
from typer.testing import CliRunner

from encodery.cli import app
from training.commands import train
from training.errors import ConfigError
from training.text.config.data import SourceConfig
from training.text.data.readers import Pairs, read_triplets
from training.text.mining import MiningRules, mine, nearest
from training.text.triplets import write_triplets

NONE = np.zeros(0, dtype=np.int64)


def unit(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    vectors = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def at(*degrees: float) -> npt.NDArray[np.float32]:
    """Directions in a plane."""
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_find_what_one_matrix_finds(block: int) -> None:
    queries, corpus = unit(20, 6), unit(130, 6, seed=1)
    rows, scores = nearest(queries, corpus, 9, block=block)
    whole = np.argsort(-(queries @ corpus.T), axis=1)[:, :9]

    assert rows.tolist() == whole.tolist()
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ corpus.T, whole, axis=1), atol=1e-6)


def test_a_corpus_smaller_than_asked_gives_what_there_is() -> None:
    rows, scores = nearest(unit(3, 4), unit(2, 4, seed=1), 9)

    assert rows.shape == scores.shape == (3, 2)


def test_equal_candidates_come_in_the_order_of_the_corpus() -> None:
    rows, _ = nearest(at(0), np.concatenate([at(50), at(10), at(10), at(10)]), 2, block=2)

    assert rows.tolist() == [[1, 2]]


# One query at 0 degrees, its positive at 20; candidates at 5, 25, 40 and 60 degrees, and the positive itself.
CORPUS = (5, 20, 25, 40, 60)


@pytest.mark.parametrize(
    ("rules", "rows"),
    [
        ({"margin": 2.0, "count": 9}, [0, 2, 3, 4]),  # all but the positive
        ({"margin": 1.0, "count": 9}, [2, 3, 4]),  # 5 degrees is nearer than the positive: perhaps right
        ({"margin": 0.95, "count": 9}, [3, 4]),  # cos 20 x 0.95 = cos 26.8
        ({"margin": 0.95}, [3]),
        ({"margin": 2.0, "first": 1, "last": 3, "count": 9}, [2, 3]),
        ({"margin": 0.95, "last": 1}, []),  # only the nearest, which is too near
    ],
)
def test_rules_choose_the_candidates(rules: dict[str, Any], rows: list[int]) -> None:
    (found,) = mine(at(0), at(20), at(*CORPUS), [np.array([1])], MiningRules(**rules))

    assert found.tolist() == rows


@pytest.mark.parametrize(("margin", "rows"), [(1.0, [2, 3]), (0.5, [3]), (1.5, [1, 2, 3])])
def test_a_margin_keeps_away_from_a_positive_behind_the_query_too(margin: float, rows: list[int]) -> None:
    """The positive's cosine is -0.5: below it by half of 0.5 is -0.75, above it by half -0.25."""
    corpus = at(80, 110, 125, 150)  # cosines 0.17, -0.34, -0.57, -0.87
    (found,) = mine(at(0), at(120), corpus, [NONE], MiningRules(margin=margin, count=9))

    assert found.tolist() == rows


@pytest.mark.parametrize("block", [1, 5, 100])
def test_negatives_do_not_depend_on_blocks(block: int) -> None:
    queries, corpus = unit(40, 6), unit(90, 6, seed=1)
    right = [np.array([i, i + 40]) for i in range(40)]
    rules = MiningRules(margin=5.0, last=6, count=3)
    found = [rows.tolist() for rows in mine(queries, corpus[:40], corpus, right, rules, block=block)]
    whole = [rows.tolist() for rows in mine(queries, corpus[:40], corpus, right, rules)]

    assert found == whole
    assert not any(set(rows) & set(wrong.tolist()) for rows, wrong in zip(found, right, strict=True))


@pytest.mark.parametrize("rules", [{"first": 5, "last": 5}, {"first": -1}, {"count": 0}])
def test_rules_that_choose_nothing_are_refused(rules: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        MiningRules(**rules)


def letters(inputs: Any) -> npt.NDArray[np.float32]:
    """A text's vector: how often it has each letter."""
    return np.array([[item.text.count(c) for c in "abcdefgh"] for item in inputs], dtype=np.float32)


def test_triplets_leave_out_every_partner_and_the_text_itself(tmp_path: Path) -> None:
    """The query "aab" has two partners and stands in the corpus, too; "aabc" is the nearest other text."""
    pairs = Pairs(["aab", "aab", "ddd", "e", " "], ["aaab", "ab", "aab", "aabc", "aaabc"])
    count = write_triplets(pairs, letters, MiningRules(margin=9.0), tmp_path / "t.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    triplets = read_triplets(tmp_path, [SourceConfig(path="t.jsonl")])

    assert count == len(lines) == 2  # no candidate is near "ddd" or "e": their positives are not, either
    assert {line["negative"] for line in lines} == {"aabc"}
    assert triplets.first == ["aab", "aab"]


def test_no_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there are no pairs to mine from; see data\.pairs"):
        write_triplets(Pairs([], []), letters, MiningRules(), tmp_path / "t.jsonl")


def test_the_command_mines_triplets_that_a_run_learns_from(data: Path, tmp_path: Path) -> None:
    """A first encoder finds its own hard negatives, and a second one is trained on them."""
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG)
    train(config, data=data, models=tmp_path / "models", run=tmp_path / "run", force=True)
    options = ["--model", "tiny", "--data", str(data), "--models-dir", str(tmp_path / "models")]
    out = tmp_path / "triplets.jsonl"
    result = CliRunner().invoke(app, ["mine", str(config), "--out", str(out), *options, "--margin", "1"])
    run = tiny_training.text_run(
        data={"triplets": [str(out)]},
        loss={"hard_infonce": {}},
        train={"epochs": 1, "batch_size": 32, "metric": "triplet_accuracy"},
    )
    from training.text.task import TextTask

    assert result.exit_code == 0, result.output
    assert TextTask(run, data).loss(0)["hard_infonce"].item() > 0


CONFIG = """
kind = "text"
name = "tiny"
description = "a tiny encoder"
[data]
pairs = [{ path = "pairs.tsv.gz", limit = 200 }]
pair_sources = ["made"]
[model]
embedding_dim = 16
[model.hidden]
output_dim = 16
[loss.infonce]
weight = 1.0
[train]
epochs = 8
metric = "pair_first_hit"
"""
