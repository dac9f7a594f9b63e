"""Figures of a run in other places than its log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_training import TOY_TRAINING, Toy

from training.config import TrainConfig
from training.errors import ConfigError
from training.loggers import LOGGERS, Guarded, Logger, mlflow_name, open_loggers
from training.trainer import LOG, Trainer


class Recorder:
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, float]] = []
        self.is_closed = False

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append({"step": step} | dict(values))

    def close(self) -> None:
        self.is_closed = True


def test_a_logger_gets_every_row_of_the_log_and_is_closed(tmp_path: Path) -> None:
    recorder, asked = Recorder(), list[tuple[Sequence[str], Path, int]]()

    def loggers(names: Sequence[str], directory: Path, step: int) -> Sequence[Logger]:
        asked.append((names, directory, step))
        return [recorder]

    config = TrainConfig.model_validate(TOY_TRAINING | {"loggers": ["tensorboard"]})
    Trainer(Toy(), config, seed=0, directory=tmp_path, loggers=loggers).fit()

    assert asked == [(["tensorboard"], tmp_path, 0)]
    assert recorder.rows == [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert recorder.is_closed


def test_a_logger_that_fails_costs_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Recorder):
        def log(self, step: int, values: Mapping[str, float]) -> None:
            raise OSError("no server\nat all")

    broken = Broken()
    guarded = Guarded("mlflow", broken)
    guarded.log(1, {"loss": 1.0})
    guarded.log(2, {"loss": 1.0})
    guarded.close()

    told = capsys.readouterr().err
    assert told == "mlflow failed and gets no more figures: no server; log.jsonl has them all\n"
    assert not broken.is_closed


@pytest.mark.parametrize("name", [name for name in LOGGERS if find_spec(name) is None])
def test_a_logger_that_is_not_installed_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f'train.loggers names "{name}", which is not installed'):
        open_loggers([name], tmp_path, 0)


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("ndcg@100", "ndcg_at_100"),
        ("recall@20, standard error", "recall_at_20  standard error"),
        ("loss", "loss"),
        ("prä", "pr "),
    ],
)
def test_mlflow_allows_few_signs_in_a_name(name: str, spelt: str) -> None:
    assert mlflow_name(name) == spelt
