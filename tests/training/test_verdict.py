"""What a run says of itself at its end: how sure it is, and that it learned nothing where it did not."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tiny_training
from typer.testing import CliRunner

from encodery.cli import app
from training.commands import train
from training.metrics import MetricValue, Validation
from training.text.task import TextTask
from training.trainer import State
from training.verdict import has_learned, is_the_start, refusal, validation_metrics, verdict


def hits(right: int, of: int, shift: int = 0) -> MetricValue:
    """So many examples are right, the first of which is number `shift`."""
    return MetricValue.of(np.roll(np.arange(of) < right, shift).astype(np.float64))


def state(start: MetricValue, best: MetricValue, *, step: int = 40, evaluations: int = 1) -> State:
    return State(
        step=50, best=best.mean, best_step=step, evaluations=evaluations, done=True,
        start={"accuracy": start}, metrics={"accuracy": best},
    )  # fmt: skip


def said(found: State, *, starts_learned: bool = False) -> str:
    return "\n".join(verdict(found, "accuracy", starts_learned=starts_learned))


def test_figures_come_with_their_standard_error_and_what_they_are_of() -> None:
    """A rate of .5 over 400: .5 / 20 = .025, by n - 1."""
    assert said(state(hits(100, 400), hits(200, 400))) == (
        "best accuracy 0.5000 ± 0.0250 at step 40, 0.2500 ± 0.0217 at the start of 400 held-out examples"
    )


def test_the_same_examples_are_compared_one_by_one() -> None:
    """Six of 400 more is .015 with ± .006 if all others stay, and ± .035 if the two have little in common."""
    assert has_learned(state(hits(200, 400), hits(206, 400)), "accuracy")
    assert not has_learned(state(hits(200, 400), hits(206, 400, shift=200)), "accuracy")


def test_what_is_written_of_a_figure_is_its_mean_and_its_error() -> None:
    assert asdict(hits(1, 2)) == {"mean": 0.5, "standard_error": 0.5, "chosen": {}}


def test_the_best_of_many_evaluations_must_gain_more() -> None:
    """Four of 400 more are .01 ± .005: 2 standard errors. Once in 44 by chance, but of twenty looks."""
    start, best = hits(200, 400), hits(204, 400)

    assert has_learned(state(start, best), "accuracy")
    assert not has_learned(state(start, best, evaluations=20), "accuracy")


def test_chance_alone_is_called_learning_once_in_twenty() -> None:
    random = np.random.default_rng(0)
    learned = 0
    for _ in range(400):
        start, *rest = (MetricValue.of((random.random(200) < 0.3).astype(np.float64)) for _ in range(9))
        best = max(rest, key=lambda value: value.mean)
        learned += has_learned(state(start, best, evaluations=8), "accuracy")

    assert learned / 400 < 0.08


def test_a_gain_within_the_noise_is_called_nothing() -> None:
    assert (
        "NOTHING WAS LEARNED that the held-out examples show: accuracy went from 0.5000 to 0.5100; a gain of "
        "0.0100 ± 0.0498 is what the best of 7 evaluations may have by chance"
    ) in said(state(hits(200, 400), hits(204, 400, shift=200), evaluations=7))


def test_a_few_examples_cannot_judge() -> None:
    """A loss of one and a gain of two, of 17: .059 ± .105."""
    found = said(state(hits(9, 17), hits(10, 17, shift=-1)))

    assert (
        "17 held-out examples cannot tell encoders apart that differ by less than 0.12 in accuracy" in found
    )
    assert "measure by at least 200 (of texts, from files in [data.validation])" in found


def test_all_right_from_the_start_says_how_little_that_is() -> None:
    """Rule of three: of 17, none wrong, is also what a rate of 1 - 3/17 may give."""
    found = said(state(hits(17, 17), hits(17, 17)))

    assert "differ by less than 0.18" in found
    assert "none of 1 evaluations was better than the start" in found


def test_one_example_tells_nothing_apart() -> None:
    found = said(state(hits(1, 1), hits(1, 1)))

    assert "1 held-out example cannot tell encoders apart that differ by less than 1 in accuracy" in found


@pytest.mark.parametrize(
    ("before", "right", "loss", "start"),
    [
        (200, 200, 2.0, True),
        (200, 200, 1.0, True),  # less sure, and no better
        (200, 201, 2.0, False),
        (200, 199, 1.0, True),
        (200, 200, math.inf, True),
        (400, 400, 2.0, True),
        (400, 400, 1.99, True),
        (400, 400, 1.9, False),  # no better figure is possible
        (400, 400, math.inf, True),
    ],
)
def test_weights_that_do_no_better_are_those_of_the_start(
    before: int, right: int, loss: float, start: bool
) -> None:
    """Whatever step they are of: a rate of next to nothing changes the loss in its last digits."""
    found = state(hits(before, 400), hits(right, 400))
    found.start_loss, found.best_loss = (2.0, loss) if loss < math.inf else (loss, loss)

    assert is_the_start(found, "accuracy") == start


def test_a_figure_at_its_end_leaves_the_word_to_the_loss() -> None:
    found = state(hits(400, 400), hits(400, 400))
    found.start_loss, found.best_loss = 0.5, 0.25

    assert "accuracy is 1.0000 as at the start; the held-out loss fell from 0.5000 to 0.2500" in said(found)


def test_a_start_that_is_computed_from_the_data_is_no_failure() -> None:
    found = said(state(hits(200, 400), hits(200, 400), step=0), starts_learned=True)

    assert "training added nothing to the start, which is computed from the data" in found
    assert "NOTHING" not in found


def test_a_refusal_names_the_figure_and_what_to_try() -> None:
    found = refusal(state(hits(200, 400), hits(200, 400), step=0, evaluations=5), "accuracy")

    assert found.startswith(
        "nothing was learned: of 5 evaluations none was better than the start (accuracy 0.5"
    )
    assert "try another learning_rate" in found
    assert "--force publishes them as they are" in found


def test_figures_stand_beside_the_starts() -> None:
    found = validation_metrics(
        Validation({"accuracy": hits(200, 400), "nearness": MetricValue(0.5, 0.0)}),
        {"accuracy": hits(100, 400), "nearness": MetricValue(0.25, 0.0)},
    )

    assert list(found) == [
        "validation accuracy (n = 400)",
        "validation accuracy (n = 400), standard error",
        "validation nearness",
    ]
    assert found["validation accuracy (n = 400)"].baselines == {"start": 0.25}


CONFIG = """
kind = "text"
name = "tiny"
description = "a tiny encoder"

[data]
labels = ["labels.csv"]

[vocabulary]
size = 200
max_length = 32

[model]
embedding_dim = 16
[model.hidden]
widths = [24]
output_dim = 16

[loss.cross_entropy]

[train]
epochs = 1
batch_size = 64
learning_rate = RATE
metric = "accuracy"
"""


def test_weights_of_the_start_are_published_only_by_force(data: Path, tmp_path: Path) -> None:
    """Steps so short that nothing changes but the last digits of the loss."""
    (tmp_path / "tiny.toml").write_text(CONFIG.replace("RATE", "1e-12"))
    command = ["train", str(tmp_path / "tiny.toml"), "--data", str(data), "--run", str(tmp_path / "run")]
    command += ["--models-dir", str(tmp_path / "models")]
    refused = CliRunner().invoke(app, command)

    assert refused.exit_code != 0
    assert "nothing was learned: of 7 evaluations none was better than the start" in refused.stderr
    assert "| validation accuracy (n = 120) | " in refused.stderr  # the table is there all the same
    assert not (tmp_path / "models").exists()

    forced = CliRunner().invoke(app, [*command, "--force"])

    assert forced.exit_code == 0
    assert "published tiny/1" in forced.stderr


def test_a_run_that_learned_says_so_in_a_table(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.toml").write_text(CONFIG.replace("RATE", "5e-3").replace("epochs = 1", "epochs = 4"))
    (manifest,) = train(tmp_path / "tiny.toml", data=data, models=tmp_path / "models", run=tmp_path / "run")
    told = capsys.readouterr().err
    figure = manifest.trained.metrics["validation accuracy (n = 120)"]

    assert "NOTHING" not in told
    assert figure.value > figure.baselines["start"]
    assert f"| {figure.value:.4f} ± " in told
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000


def test_text_runs_start_from_what_is_older_than_their_data(data: Path) -> None:
    assert not TextTask(tiny_training.text_run(), data).starts_learned
