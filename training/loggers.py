"""Where a run's figures go besides log.jsonl: TensorBoard and MLflow, each where its package is installed.

A row of LOGGERS is the name of a logger in `train.loggers`. Neither package is one of ours, and nothing is
sent anywhere that the package's own settings (MLFLOW_TRACKING_URI) do not name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from training.console import say
from training.errors import ConfigError


class Logger(Protocol):
    """Takes the figures of a run as they come."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write the figures of a step."""
        ...

    def close(self) -> None:
        """Write out what is still in memory."""
        ...


class TensorBoard:
    """Event files in the run's directory; `tensorboard --logdir runs` shows them.

    Args:
        directory: of the run.
        step: where the run goes on; what was written of later steps is forgotten.
    """

    def __init__(self, directory: Path, step: int) -> None:
        module = _package("torch.utils.tensorboard", "tensorboard")
        self._writer: Any = module.SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class MLflow:
    """A run of MLflow's, named as ours; its number lies beside the log, so that a resumed run goes on in it.

    Args:
        directory: of the run.
        step: where the run goes on.
    """

    def __init__(self, directory: Path, step: int) -> None:
        self._mlflow: Any = _package("mlflow", "mlflow")
        number = directory / "mlflow.txt"
        known = number.read_text(encoding="utf-8").strip() if step and number.exists() else None
        self._run = self._mlflow.start_run(run_id=known, run_name=None if known else directory.name)
        number.write_text(self._run.info.run_id + "\n", encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._mlflow.log_metrics({mlflow_name(name): value for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


LOGGERS: Mapping[str, Callable[[Path, int], Logger]] = {"tensorboard": TensorBoard, "mlflow": MLflow}


def open_loggers(names: Sequence[str], directory: Path, step: int) -> list[Logger]:
    """The loggers of a run that stands at a step. Raises ConfigError for one that is not there."""
    return [_opened(name, directory, step) for name in names]


def _opened(name: str, directory: Path, step: int) -> Logger:
    try:
        return Guarded(name, LOGGERS[name](directory, step))
    except ConfigError:
        raise
    except Exception as error:  # a package's own: its server, its files
        raise ConfigError(f"train.loggers: {name} cannot be opened: {_first_line(error)}") from None


class Guarded:
    """A logger whose failure costs its figures and not the run: it is told, and left alone from then on."""

    def __init__(self, name: str, logger: Logger) -> None:
        self._name, self._logger, self._is_lost = name, logger, False

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._try(lambda: self._logger.log(step, values))

    def close(self) -> None:
        self._try(self._logger.close)

    def _try(self, call: Callable[[], None]) -> None:
        if self._is_lost:
            return
        try:
            call()
        except Exception as error:  # as above
            self._is_lost = True
            say(f"{self._name} failed and gets no more figures: {_first_line(error)}; log.jsonl has them all")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def mlflow_name(name: str) -> str:
    """A figure's name as MLflow allows it: `ndcg@100` is `ndcg_at_100`, any other sign a blank."""
    allowed = "_-./ "
    spelt = name.replace("@", "_at_")
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in allowed) else " " for sign in spelt)


def _package(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f'train.loggers names "{package}", which is not installed; install it, or leave it out'
        ) from None
