"""The one training loop. Knows nothing of texts, towers or losses: see `training.task`.

The state of a run is a step number: epoch, position in the data, learning rate and dropout noise all
follow from it, the seed and the saved generator, so a run that is killed and resumed ends with the same
weights as one that was not: on the same machine, with the number of threads in `train.threads`. Where that is
chosen by measuring (`training.threads`), to rounding: sums are then added up in another order.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from bundle.progress import Progress
from training import ranks
from training.config.sections import TrainConfig
from training.console import say
from training.errors import ConfigError, DivergedError
from training.errors import InterruptedRunError as InterruptedRunError  # noqa: PLC0414  # raised by `fit`
from training.loggers import Logger, open_loggers
from training.metrics import MetricValue, Validation, said
from training.task import Task
from training.threads import Threads, most_threads

LOGGED, EVALUATED = 200, 5  # points of a curve, and evaluations of a run at least
CHECKPOINT, BEST, LOG = "checkpoint.pt", "best.pt", "log.jsonl"


@dataclass
class State:
    """The state of a run: everything besides the weights that a resumed run needs.

    Attributes:
        step: how many are done.
        best: the largest value of `train.metric`.
        best_loss: the loss over the held-out examples then; infinite if the task takes none.
        best_step: after which step that was.
        evaluations: besides the one before training.
        evaluations_since_best: how many were not better; as good is not better, though it is kept.
        done: whether the run is over.
        start: the metrics before training.
        start_loss: the loss over the held-out examples before training.
        metrics: those of the best step.
    """

    step: int = 0
    best: float = -math.inf
    best_loss: float = math.inf
    best_step: int = 0
    evaluations: int = 0
    evaluations_since_best: int = 0
    done: bool = False
    start: Mapping[str, MetricValue] = field(default_factory=dict)
    start_loss: float = math.inf
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)


class Trainer:
    """Trains one task in one directory.

    Args:
        task: what to train.
        config: how.
        seed: of everything random.
        directory: of the run; checkpoint, log and best weights go there.
        stop: says whether to stop after the current step (a signal, or a test's wish).
        loggers: names, directory and step to where figures go besides the log.

    Raises:
        ConfigError: the directory's checkpoint cannot be read, or is of other data.
    """

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        *,
        seed: int,
        directory: Path,
        stop: Callable[[State], bool] = lambda state: False,
        loggers: Callable[[Sequence[str], Path, int], Sequence[Logger]] = open_loggers,
    ) -> None:
        self.task, self.config, self.directory, self._stop = task, config, directory, stop
        # Several measure no threads: each would time another number, and wait for the others.
        self._threads = None if config.threads or ranks.count() > 1 else Threads()
        if self._threads is None:
            torch.set_num_threads(config.threads or most_threads())
        torch.manual_seed(seed)
        with ranks.one_before_all():
            self._optimizer = make_optimizer(task, config)
        if not ranks.is_first():
            torch.manual_seed(seed + ranks.rank())  # each has its own dropout noise
        self._parameters = list(task.model.parameters())
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self.total_steps = config.epochs * task.steps_per_epoch
        few = max(1, self.total_steps // EVALUATED)
        self._evaluate_every = config.evaluate_every or min(task.steps_per_epoch, few)
        self._log_every = max(1, self.total_steps // LOGGED)
        self.state = State()
        resumed = self._restore()
        self._last_checkpoint = time.monotonic()
        self._loggers: Sequence[Logger] = []
        if ranks.is_first():
            self._forget_log_after(self.state.step if resumed else -1)
            self._loggers = loggers(config.loggers, directory, self.state.step)

    def fit(self) -> State:
        """Train to the end, or from the checkpoint to the end; leaves the best weights in the model.

        The weights it starts with are measured as well: a fine-tuned encoder is never worse than it was. Of
        equal figures the one with the smaller held-out loss is better, and of equal losses the later.

        Raises:
            InterruptedRunError: stopped on request, with a checkpoint.
            DivergedError: a loss, gradient or metric is not finite; the last checkpoint is from before that.
            ConfigError: `train.metric` is none of the task's metrics.
        """
        label = f"train {self.directory.name}"
        with (
            Progress(total=self.total_steps, label=label, unit="steps", done=self.state.step) as progress,
            _signals() as stop_requested,
            _deterministic(),
            self._closing_loggers(),
        ):
            for caution in cautions(self.config, self.total_steps, self._evaluate_every):
                say(caution)
            if self.state.step == 0:
                self._evaluate()
            self.task.model.train()  # all of it: what was read from a file begins in evaluation mode
            while not self.state.done:
                for batch in self._batches():
                    parts = self._step(batch)
                    self._after_step(parts, progress)
                    if ranks.any_of(stop_requested() or self._stop(self.state)):
                        self._save()
                        raise InterruptedRunError(
                            f"stopped after step {self.state.step} of {self.total_steps}; "
                            "run the same command to go on"
                        )
                    if self.state.done:
                        break
        best = _read(self.directory / BEST) if ranks.is_first() else {}
        self.task.model.load_state_dict(ranks.from_first(best))
        self.task.model.eval()
        return self.state

    def _batches(self) -> Iterator[Any]:
        epoch, start = divmod(self.state.step, self.task.steps_per_epoch)
        return self.task.batches(epoch, start)

    def _step(self, batch: Any) -> dict[str, float]:
        if not self.task.model.training:  # to tell every module is a good part of a small step
            self.task.model.train()
        if self._threads is not None:
            self._threads.follow(lambda: self._pass(batch))
        scale = learning_rate_scale(self.state.step, self.total_steps, self.config)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * scale
        with self._threads.watching() if self._threads is not None else nullcontext():
            parts = self.task.loss(batch)
            self._refuse_not_finite("loss", parts["loss"].item())
            self._drop_gradients()
            torch.autograd.backward(parts["loss"])
        ranks.average_gradients(self._parameters)
        self._clip()
        self._optimizer.step()
        self.state.step += 1
        return {name: float(value.detach()) for name, value in parts.items()}

    def _clip(self) -> None:
        """Scale gradients down to the largest norm, if there is one. Raises DivergedError."""
        norms = [torch.linalg.vector_norm(one.grad) for one in self._parameters if one.grad is not None]
        total = torch.linalg.vector_norm(torch.stack(norms))
        self._refuse_not_finite("gradient norm", total.item())
        if 0.0 < self.config.clip_norm < total:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self.config.clip_norm, total)

    def _pass(self, batch: Any) -> None:
        """Compute a step's gradients, and leave no trace of it."""
        generator = torch.get_rng_state()
        torch.autograd.backward(self.task.loss(batch)["loss"])
        self._drop_gradients()
        torch.set_rng_state(generator)

    def _drop_gradients(self) -> None:
        """As the optimiser's `zero_grad`, without its record for profilers: a part of a small step."""
        for one in self._parameters:
            one.grad = None

    def _refuse_not_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise DivergedError(
                f"the {what} at step {self.state.step} is {value}; "
                "try a smaller learning rate, in another run directory"
            )

    def _after_step(self, parts: dict[str, float], progress: Progress) -> None:
        step = self.state.step
        best = self.state.metrics[self.config.metric]
        progress.advance(1, f"loss {parts['loss']:.4f} {self.config.metric} {said(best)}")
        if step % self._log_every == 0:
            self._log({"step": step} | parts)
        if step % self._evaluate_every == 0 or step == self.total_steps:
            self._evaluate()
            self._save()
        elif ranks.any_of(time.monotonic() - self._last_checkpoint > self.config.checkpoint_every_s):
            self._save()

    def _evaluate(self) -> None:
        """Measure, and keep the best weights: the first does, and tells the others what came of it."""
        if ranks.is_first():
            self._measure()
        self.state = ranks.from_first(self.state)

    def _measure(self) -> None:
        self.task.model.eval()
        with torch.no_grad():
            found = self.task.evaluate()
        self._log({"step": self.state.step} | found.row())
        if self.config.metric not in found.metrics:
            raise ConfigError(
                f"train.metric is {self.config.metric!r}; this run's metrics are {', '.join(found.metrics)}"
            )
        for name, value in found.metrics.items():
            self._refuse_not_finite(name, value.mean)
        if found.loss is not None:
            self._refuse_not_finite("held-out loss", found.loss)
        state = self.state
        if state.step == 0:
            state.start, state.start_loss = found.metrics, _loss_of(found)
        else:
            state.evaluations += 1
        self._keep_best(found)
        patience_is_over = 0 < self.config.patience <= state.evaluations_since_best
        state.done = patience_is_over or state.step >= self.total_steps

    def _keep_best(self, found: Validation) -> None:
        """Of equal figures the smaller loss is better; the later of equals is kept, though not better."""
        state = self.state
        value = found.metrics[self.config.metric].mean
        loss = _loss_of(found)
        now, best = (value, -loss), (state.best, -state.best_loss)
        state.evaluations_since_best = 0 if now > best else state.evaluations_since_best + 1
        if now >= best:
            state.best, state.best_loss, state.best_step = value, loss, state.step
            state.metrics = found.metrics
            _write(self.directory / BEST, self.task.model.state_dict())

    def _save(self) -> None:
        generator, *others = ranks.collected(torch.get_rng_state())
        if ranks.is_first():
            _write(
                self.directory / CHECKPOINT,
                {
                    "model": self.task.model.state_dict(),
                    "optimizer": self._optimizer.state_dict(),
                    "generator": generator,
                    "other generators": others,
                    "state": _as_saved(self.state),
                    "data": self.task.data_sha256,
                },
            )
        self._last_checkpoint = time.monotonic()

    def _restore(self) -> bool:
        """Go on from the checkpoint that the first has; without one all start as it does."""
        path = self.directory / CHECKPOINT
        saved = ranks.from_first(_read(path) if ranks.is_first() and path.exists() else None)
        if saved is None:
            if ranks.count() > 1:
                self.task.model.load_state_dict(ranks.from_first(self.task.model.state_dict()))
            return False
        if saved.get("data") != self.task.data_sha256:
            raise ConfigError(f"{path} is of other data than is there now; give --run another directory")
        try:
            self.task.model.load_state_dict(saved["model"])
            self._optimizer.load_state_dict(saved["optimizer"])
            generators = [saved["generator"], *saved.get("other generators", [])]
            if ranks.rank() < len(generators):
                torch.set_rng_state(generators[ranks.rank()])
            self.state = _as_read(saved["state"])
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError):
            raise ConfigError(
                f"{path} is of another version of this code; give --run another directory"
            ) from None
        return True

    def _log(self, row: dict[str, float]) -> None:
        if not ranks.is_first():
            return
        with (self.directory / LOG).open("a") as file:
            file.write(json.dumps(row) + "\n")
        for logger in self._loggers:
            logger.log(int(row["step"]), {name: value for name, value in row.items() if name != "step"})

    @contextmanager
    def _closing_loggers(self) -> Iterator[None]:
        try:
            yield
        finally:
            for logger in self._loggers:
                logger.close()

    def _forget_log_after(self, step: int) -> None:
        """Drop what a killed run logged after its last checkpoint: it will be logged again.

        Its last line may be cut short; the file is replaced as a whole, so that a second kill harms nothing.
        """
        path = self.directory / LOG
        if path.exists():
            lines = path.read_text().splitlines()
            kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
            temporary = path.with_suffix(".partial")
            temporary.write_text("".join(line + "\n" for line in kept))
            temporary.replace(path)


def make_optimizer(task: Task, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, or SGD with Nesterov momentum 0.9, over the task's groups of parameters.

    Fused, for which a small step of AdamW takes a quarter of the time, even on one core.
    """
    groups = task.parameter_groups(config.learning_rate)
    rate, decay = config.learning_rate, config.weight_decay
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
    return torch.optim.SGD(groups, lr=rate, weight_decay=decay, momentum=0.9, nesterov=True, fused=True)


def learning_rate_scale(step: int, total: int, config: TrainConfig) -> float:
    """The share of the peak learning rate at a step: linear warm-up, then the schedule."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, total - config.warmup_steps)
    return 1.0 - progress if config.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))


def cautions(config: TrainConfig, total: int, every: int) -> list[str]:
    """Name the settings that cannot do what they are for in a run of so many steps.

    Args:
        config: the settings.
        total: steps of the run.
        every: steps between evaluations.
    """
    found, evaluations = [], -(-total // every)
    if config.warmup_steps >= total:
        found.append(
            f"train.warmup_steps is {config.warmup_steps} and the run has {total} steps: "
            f"the learning rate never reaches its peak; a tenth would be {max(1, total // 10)}"
        )
    if config.patience >= evaluations > 0:
        found.append(
            f"train.patience is {config.patience} and the run is evaluated {evaluations} times: "
            "it can never stop early; lower patience or evaluate_every, or leave patience out"
        )
    return found


def _loss_of(found: Validation) -> float:
    return math.inf if found.loss is None else found.loss


def _as_saved(state: State) -> dict[str, Any]:
    """The state as torch reads it back without running anything: numbers and tensors."""

    def tensors(metrics: Mapping[str, MetricValue]) -> dict[str, Any]:
        return {
            name: (one.mean, one.standard_error, None if one.values is None else torch.from_numpy(one.values))
            for name, one in metrics.items()
        }

    return vars(state) | {"start": tensors(state.start), "metrics": tensors(state.metrics)}


def _as_read(saved: dict[str, Any]) -> State:
    def metrics(tensors: dict[str, Any]) -> dict[str, MetricValue]:
        return {
            name: MetricValue(mean, error) if values is None else MetricValue.of(values.numpy())
            for name, (mean, error, values) in tensors.items()
        }

    return State(**saved | {name: metrics(saved[name]) for name in ("start", "metrics")})


def _write(path: Path, content: Any) -> None:
    """A checkpoint is whole or not there, even if the power goes."""
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _read(path: Path) -> Any:
    """Read what `_write` wrote. Raises ConfigError."""
    try:
        return torch.load(path, weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        raise ConfigError(
            f"{path} is missing or damaged; remove {path.parent} to start the run again"
        ) from None


@contextmanager
def _deterministic() -> Iterator[None]:
    """The gradient of `table[rows]` is otherwise summed in the order in which threads come, even on a CPU.

    Source: docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask the loop to stop after its step; a second Ctrl-C stops at once."""
    requested = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    if threading.current_thread() is not threading.main_thread():  # only the main thread gets signals
        yield requested.is_set
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield requested.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
