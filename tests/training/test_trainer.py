"""The loop: the same seed gives the same run, however often it is stopped."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_training
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_training import Toy, toy_trainer

from bundle.cores import usable_cores
from training.config import TrainConfig
from training.errors import ConfigError, DivergedError, InterruptedRunError
from training.trainer import BEST, CHECKPOINT, LOG, State, learning_rate_scale

TESTS = Path(tiny_training.__file__).parent
STEPS = 60


def weights(task: Toy) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in task.model.parameters()])


def finish(directory: Path, **changes: float) -> tuple[Toy, State]:
    """Run the toy to the end, in a fresh task as a new process would."""
    task = Toy()
    return task, toy_trainer(directory, task, **changes).fit()


def rows(directory: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (directory / LOG).read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor, State]:
    """An uninterrupted run."""
    directory = tmp_path_factory.mktemp("whole")
    task, state = finish(directory)
    return directory, weights(task), state


def test_training_learns(whole: tuple[Path, torch.Tensor, State]) -> None:
    untrained = Toy()
    untrained.model.eval()

    assert whole[2].best > untrained.evaluate().metrics["score"].mean / 2  # the squared error halves at least


def test_the_same_seed_gives_the_same_weights_metrics_and_log(
    whole: tuple[Path, torch.Tensor, State], tmp_path: Path
) -> None:
    task, state = finish(tmp_path / "again")

    assert torch.equal(weights(task), whole[1])
    assert state == whole[2]
    assert rows(tmp_path / "again") == rows(whole[0])


def test_another_seed_gives_another_run(whole: tuple[Path, torch.Tensor, State], tmp_path: Path) -> None:
    task = Toy()
    toy_trainer(tmp_path / "other", task, seed=1).fit()

    assert not torch.equal(weights(task), whole[1])  # by the dropout noise alone: the order is the task's


@settings(max_examples=8)
@given(stops=st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=3, unique=True))
def test_a_run_stopped_anywhere_and_resumed_is_bit_identical_to_one_that_was_not(
    whole: tuple[Path, torch.Tensor, State], tmp_path_factory: pytest.TempPathFactory, stops: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("stopped")
    seen: list[int] = []
    for stop_at in sorted(stops):
        task = Toy()
        with pytest.raises(
            InterruptedRunError, match=f"stopped after step {stop_at} of {STEPS}; run the same"
        ):
            toy_trainer(directory, task, stop_at=stop_at).fit()
        seen += task.seen
    task, state = finish(directory)

    assert seen + task.seen == list(range(STEPS))  # every batch once, in order
    assert torch.equal(weights(task), whole[1])
    assert state == whole[2]
    assert rows(directory) == rows(whole[0])


def test_optimizer_state_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    """Momentum too: SGD resumed is as SGD uninterrupted."""
    uninterrupted, _ = finish(tmp_path / "whole", optimizer="sgd")
    with pytest.raises(InterruptedRunError):
        toy_trainer(tmp_path / "parts", Toy(), stop_at=23, optimizer="sgd").fit()
    resumed, _ = finish(tmp_path / "parts", optimizer="sgd")

    assert torch.equal(weights(uninterrupted), weights(resumed))


def test_measuring_threads_leaves_no_trace(whole: tuple[Path, torch.Tensor, State], tmp_path: Path) -> None:
    """The steps that are timed draw no dropout noise and move no weight; only sums may be ordered anew."""
    task, state = finish(tmp_path, threads=0)

    alone = min(usable_cores(), torch.get_num_threads()) == 1
    assert len(task.seen) > STEPS or alone  # some batches were computed to be timed
    torch.testing.assert_close(weights(task), whole[1], rtol=0, atol=1e-5)
    assert state.step == STEPS


CHILD = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {root!r}]
from tiny_training import Toy, toy_trainer
from training.errors import InterruptedRunError
directory = Path(sys.argv[1])
try:
    toy_trainer(directory, Toy(seconds=0.02), checkpoint_every_s=0.05).fit()
except InterruptedRunError as error:
    sys.exit(f"said: {{error}}")
"""


def child(directory: Path) -> subprocess.Popen[str]:
    """The toy run as a process of its own, with a checkpoint every few steps; waits for the first."""
    code = CHILD.format(tests=str(TESTS), root=str(TESTS.parent))
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    for _ in range(1200):
        if (directory / CHECKPOINT).exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    return process


def test_a_killed_run_resumes_to_the_same_result(
    whole: tuple[Path, torch.Tensor, State], tmp_path: Path
) -> None:
    process = child(tmp_path / "run")
    process.kill()
    process.communicate()
    with (tmp_path / "run" / LOG).open("a") as log:  # what it may leave: later rows, and half a row
        log.write('{"step": 59, "loss": 1.0}\n{"step": 60, "lo')
    task, state = finish(tmp_path / "run", checkpoint_every_s=0.05)

    assert 0 < len(task.seen) < STEPS  # it did resume
    assert torch.equal(weights(task), whole[1])
    assert state == whole[2]
    assert rows(tmp_path / "run") == rows(whole[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_a_sentence(
    whole: tuple[Path, torch.Tensor, State], tmp_path: Path, number: signal.Signals
) -> None:
    process = child(tmp_path / "run")
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    task, state = finish(tmp_path / "run", checkpoint_every_s=0.05)

    assert process.returncode == 1
    assert f"of {STEPS}; run the same command to go on" in said
    assert "Traceback" not in said
    assert 0 < len(task.seen) < STEPS
    assert torch.equal(weights(task), whole[1])
    assert state == whole[2]


def test_a_run_killed_before_its_first_checkpoint_starts_its_log_again(
    whole: tuple[Path, torch.Tensor, State], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOG).write_text('{"step": 7, "score": 9.0}\n')
    finish(tmp_path / "run")

    assert rows(tmp_path / "run") == rows(whole[0])


def test_a_finished_run_run_again_changes_nothing(tmp_path: Path) -> None:
    task, state = finish(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    again, same = finish(tmp_path / "run")

    assert not again.seen
    assert same == state
    assert torch.equal(weights(again), weights(task))
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_the_best_weights_are_left_in_the_model(tmp_path: Path) -> None:
    task = Toy(scores=[0.0, 0.1, 0.9, 0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.1])
    state = toy_trainer(tmp_path / "run", task).fit()
    at_step_14 = Toy()
    with pytest.raises(InterruptedRunError):
        toy_trainer(tmp_path / "part", at_step_14, stop_at=14).fit()

    assert (state.best, state.best_step, state.metrics["score"].mean) == (0.9, 14, 0.9)
    assert (state.start["score"].mean, state.evaluations) == (0.0, 9)
    assert torch.equal(weights(task), weights(at_step_14))
    assert not task.model.training


def test_weights_that_training_only_makes_worse_are_left_as_they_were(tmp_path: Path) -> None:
    task = Toy(scores=[0.5, 0.4, 0.3])
    start = weights(task)
    state = toy_trainer(tmp_path / "run", task, patience=2).fit()

    assert (state.best, state.best_step, state.step) == (0.5, 0, 14)
    assert torch.equal(weights(task), start)


def test_training_stops_early_when_the_figure_no_longer_rises(tmp_path: Path) -> None:
    task = Toy(scores=[0.0, 0.1, 0.5, 0.5, 0.4, 0.6])  # a tie is kept, and is not better
    state = toy_trainer(tmp_path / "run", task, patience=2).fit()

    assert (state.step, state.best_step, state.done) == (28, 21, True)


@pytest.mark.parametrize(
    ("scores", "losses", "best_step", "last"),
    [
        ([1.0] * 10, [], 60, 60),  # nothing tells them apart: the last
        ([1.0] * 10, [9.0, 8, 7, 5, 6, 5, 5, 6, 6, 6], 42, 60),  # the smallest loss, and its last
        ([1.0] * 10, [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 9], 0, 60),  # every step made it worse
        ([0.5, 1.0, 1.0] + [0.9] * 7, [0.1, 3.0, 2.0] + [1.0] * 7, 14, 60),  # the figure counts first
    ],
)
def test_of_equal_figures_the_smaller_loss_and_then_the_later_step_is_best(
    tmp_path: Path, scores: list[float], losses: list[float], best_step: int, last: int
) -> None:
    state = toy_trainer(tmp_path / "run", Toy(scores=scores, losses=losses)).fit()

    assert (state.best_step, state.step) == (best_step, last)


def test_a_loss_that_still_falls_keeps_a_run_going(tmp_path: Path) -> None:
    """The figure is at its end from the start; after the third evaluation the loss rises as well."""
    task = Toy(scores=[1.0] * 10, losses=[5.0, 4, 3, 2, 3, 4, 5, 6, 7, 8])
    state = toy_trainer(tmp_path / "run", task, patience=2).fit()

    assert (state.best_step, state.step) == (21, 35)


def test_a_better_figure_restarts_the_patience(tmp_path: Path) -> None:
    state = toy_trainer(
        tmp_path / "run", Toy(scores=[0.0, 0.1, 0.0, 0.2, 0.0, 0.3, 0.0, 0.0]), patience=2
    ).fit()

    assert (state.step, state.best_step) == (49, 35)


def test_without_evaluate_every_each_epoch_is_evaluated(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "run", Toy(), evaluate_every=0).fit()

    assert [row["step"] for row in rows(tmp_path / "run") if "score" in row] == [0, 10, 20, 30, 40, 50, 60]


def test_a_run_of_one_epoch_is_evaluated_five_times(tmp_path: Path) -> None:
    toy_trainer(tmp_path / "run", Toy(), evaluate_every=0, epochs=1).fit()
    found = rows(tmp_path / "run")

    assert [row["step"] for row in found if "score" in row] == [0, 2, 4, 6, 8, 10]
    assert [row["step"] for row in found if "loss" in row] == list(range(1, 11))  # all, since they are few


def test_figures_are_logged_with_their_standard_error_and_the_held_out_loss(tmp_path: Path) -> None:
    state = toy_trainer(tmp_path / "run", Toy()).fit()
    first = next(row for row in rows(tmp_path / "run") if "score" in row)

    assert set(first) == {"step", "score", "score, standard error", "validation_loss"}
    assert first["score, standard error"] == state.start["score"].standard_error > 0
    assert first["validation_loss"] == pytest.approx(-first["score"])


def test_settings_that_can_do_nothing_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy_trainer(tmp_path / "a", Toy(), warmup_steps=60, patience=9).fit()
    told = capsys.readouterr().err
    toy_trainer(tmp_path / "b", Toy(), warmup_steps=59, patience=8).fit()

    assert (
        "train.warmup_steps is 60 and the run has 60 steps: the learning rate never reaches its peak" in told
    )
    assert "train.patience is 9 and the run is evaluated 9 times: it can never stop early" in told
    assert "train.warmup_steps" not in (rest := capsys.readouterr().err)
    assert "train.patience" not in rest


def test_a_checkpoint_of_an_earlier_state_is_refused(tmp_path: Path) -> None:
    """As written before figures had standard errors."""
    with pytest.raises(InterruptedRunError):
        toy_trainer(tmp_path / "run", Toy(), stop_at=9).fit()
    path = tmp_path / "run" / CHECKPOINT
    saved = torch.load(path, weights_only=True)
    saved["state"] = {name: saved["state"][name] for name in ("step", "best", "best_step", "done")} | {
        "evaluations_since_best": 0,
        "metrics": {"score": 0.5},
    }
    torch.save(saved, path)

    with pytest.raises(ConfigError, match="another version of this code"):
        toy_trainer(tmp_path / "run", Toy())


def test_a_loss_that_is_not_finite_is_refused_and_the_checkpoint_is_from_before(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"the loss at step 30 is nan; try a smaller learning rate"):
        toy_trainer(tmp_path / "run", Toy(broken_at=30)).fit()
    resumed = toy_trainer(tmp_path / "run", task := Toy())

    assert resumed.state.step == 28  # the evaluation before
    assert bool(weights(task).isfinite().all())


class BrokenGradient(Toy):
    """sqrt(0) is finite, its gradient is not."""

    def loss(self, batch: int) -> dict[str, torch.Tensor]:
        parts = super().loss(batch)
        zero = sum(parameter.sum() for parameter in self.model.parameters()) * 0.0
        return {"loss": parts["loss"] + torch.sqrt(torch.as_tensor(zero))} if batch == 6 else parts


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_is_refused_before_it_spoils_the_weights(
    tmp_path: Path, clip_norm: float
) -> None:
    task = BrokenGradient()
    with pytest.raises(DivergedError, match="gradient norm at step 6"):
        toy_trainer(tmp_path / "run", task, clip_norm=clip_norm).fit()

    assert bool(weights(task).isfinite().all())


def test_a_figure_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="score at step 14 is nan"):
        toy_trainer(tmp_path / "run", Toy(scores=[0.0, 0.1, math.nan])).fit()


def test_a_held_out_loss_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """A head may find a class for vectors that are no numbers."""
    with pytest.raises(DivergedError, match="held-out loss at step 14 is nan"):
        toy_trainer(tmp_path / "run", Toy(scores=[0.2] * 3, losses=[1.0, 0.9, math.nan])).fit()


def test_an_unknown_metric_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.metric is 'recall'; this run's metrics are score"):
        toy_trainer(tmp_path / "run", Toy(), metric="recall").fit()


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    """SGD's first step moves the weights by rate x (1 + momentum) x norm: 0.5 x 1.9 x 1e-3."""
    task = Toy()
    trainer = toy_trainer(
        tmp_path / "run", task, stop_at=1, optimizer="sgd", learning_rate=0.5, clip_norm=1e-3
    )
    before = weights(task)
    with pytest.raises(InterruptedRunError):
        trainer.fit()

    assert float((weights(task) - before).norm()) == pytest.approx(0.5 * 1.9e-3, rel=1e-3)


def config(**changes: float | str) -> TrainConfig:
    return TrainConfig.model_validate({"metric": "score", "warmup_steps": 4} | changes)


def test_the_rate_rises_linearly_and_then_falls_as_scheduled() -> None:
    """Warm-up of 4, then 8 steps: the cosine is at 1/2 half-way."""
    cosine = [learning_rate_scale(step, 12, config()) for step in range(13)]
    linear = [learning_rate_scale(step, 12, config(schedule="linear")) for step in range(13)]

    assert cosine[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert cosine[8] == pytest.approx(0.5)
    assert cosine[6] == pytest.approx(0.5 * (1 + math.sqrt(0.5)))
    assert cosine[12] == pytest.approx(0.0)
    assert linear == [0.25, 0.5, 0.75, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0]
    assert learning_rate_scale(11, 12, config(schedule="constant")) == 1.0


@given(
    warmup=st.integers(0, 30),
    total=st.integers(1, 60),
    schedule=st.sampled_from(["cosine", "linear", "constant"]),
)
def test_the_rate_stays_between_nothing_and_its_peak(warmup: int, total: int, schedule: str) -> None:
    scales = [
        learning_rate_scale(s, total, config(warmup_steps=warmup, schedule=schedule)) for s in range(total)
    ]

    assert all(0 < scale <= 1 for scale in scales)
    assert all(a >= b for a, b in itertools.pairwise(scales[warmup:]))


def test_data_that_changed_under_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        toy_trainer(tmp_path / "run", Toy(), stop_at=5).fit()
    task = Toy()
    task.data_sha256 = "1" * 64

    with pytest.raises(ConfigError, match="is of other data"):
        toy_trainer(tmp_path / "run", task)


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_damaged_checkpoint_is_refused_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)

    with pytest.raises(ConfigError, match=r"damaged; remove .* to start the run again"):
        toy_trainer(tmp_path, Toy())


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRunError):
        toy_trainer(tmp_path / "run", Toy(), stop_at=5).fit()
    task = Toy()
    task.model = torch.nn.Linear(4, 1)

    with pytest.raises(ConfigError, match="another version of this code"):
        toy_trainer(tmp_path / "run", task)


def test_lost_best_weights_are_named(tmp_path: Path) -> None:
    finish(tmp_path / "run")
    (tmp_path / "run" / BEST).unlink()

    with pytest.raises(ConfigError, match=r"best\.pt is missing"):
        finish(tmp_path / "run")


def test_the_loop_leaves_torch_and_the_signals_as_they_were(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    finish(tmp_path / "run")

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not torch.are_deterministic_algorithms_enabled()
