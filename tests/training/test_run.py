"""The directory of a run, its card, and the tree of errors."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
import tiny
import tiny_training

from bundle.errors import EncoderyError
from bundle.manifest import Metric
from training import errors
from training.card import metrics_table, model_card
from training.config import parse_config
from training.errors import ConfigError, TrainingError
from training.provenance import of_run
from training.run import draw_curves, open_run, write_metrics
from training.trainer import CHECKPOINT, LOG


def test_the_config_of_a_run_lies_beside_it(tmp_path: Path) -> None:
    run = tiny_training.text_run()
    with open_run(tmp_path / "runs" / "a", run) as directory:
        written = (directory / "config.json").read_text()

    assert parse_config(json.loads(written)) == run
    with open_run(directory, run) as again:
        assert again == directory


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    """Two that write checkpoints in turns would leave a run of neither."""
    run = tiny_training.text_run()

    with open_run(tmp_path, run), pytest.raises(ConfigError, match="another process trains in"):
        open_run(tmp_path, run).__enter__()
    with open_run(tmp_path, run):
        pass


def test_another_config_is_refused_once_there_is_a_checkpoint(tmp_path: Path) -> None:
    for seed in (0, 1):
        with open_run(tmp_path, tiny_training.text_run(seed=seed)):
            pass
    (tmp_path / CHECKPOINT).touch()
    message = "holds a run of another config; give --run another directory"
    with pytest.raises(ConfigError, match=message):
        open_run(tmp_path, tiny_training.text_run(seed=2)).__enter__()

    assert json.loads((tmp_path / "config.json").read_text())["seed"] == 1


def test_metrics_are_written_with_their_baselines(tmp_path: Path) -> None:
    write_metrics(tmp_path, {"recall": Metric(value=0.5, baselines={"popularity": 0.1})})

    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "recall": {"value": 0.5, "baselines": {"popularity": 0.1}}
    }


def test_curves_are_a_picture(tmp_path: Path) -> None:
    rows = [
        {"step": 5, "loss": 0.5, "mse": 0.1},
        {"step": 9, "score": 0.1},
        {"step": 10, "loss": 0.25, "mse": 0.1},
    ]
    (tmp_path / LOG).write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert draw_curves(tmp_path).read_bytes().startswith(b"\x89PNG")


def test_a_table_of_figures_has_a_line_each() -> None:
    table = metrics_table({"a": Metric(value=0.5), "b": Metric(value=1, baselines={"x": 0.25, "y": 0.125})})

    assert table[2:] == ["| a | 0.5000 | none |", "| b | 1.0000 | x 0.2500, y 0.1250 |"]


def test_a_card_says_what_the_vectors_are() -> None:
    card = model_card(tiny.text_draft(), of_run(tiny_training.text_run(), "1" * 64), "hello").card

    assert "gives vectors of 8 dimensions (or cut to 4)." in card
    assert "Vectors are L2-normalised; compare them by cosine, and only within one space." in card
    assert '{"model": "text", "inputs": ["hello"]}' in card
    assert '"embedding_dim": 16' in card


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    """All of them are caught as an EncoderyError by the command line."""
    drawn = set(re.findall(r"── (\w+Error)", errors.__doc__ or ""))
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, TrainingError)
    }

    assert drawn == defined
    assert issubclass(TrainingError, EncoderyError)
