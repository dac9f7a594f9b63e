"""What the command line does with a run of any kind: one function per command, for `encodery.cli`.

train     config -> task -> loop -> metrics -> verdict -> bundles
evaluate  the same metrics for bundles on disk, or for a server

Commands about runs of one kind are in the room of that kind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TypeAlias

from bundle.manifest import Manifest, Metric
from bundle.progress import phase
from bundle.publish import publish
from training import ranks
from training.card import metrics_table
from training.config import Run, load_config
from training.console import say
from training.data.files import data_directory
from training.errors import ConfigError, InterruptedRunError, NothingLearnedError
from training.kinds import KINDS
from training.published import Published
from training.run import draw_curves, open_run, write_metrics
from training.task import Task
from training.trainer import State, Trainer
from training.verdict import is_the_start, refusal, validation_metrics, verdict

MakeTask: TypeAlias = Callable[[Run, Path, Path], Task]


def make_task(settings: Run, data: Path, models: Path = Path("models")) -> Task:
    """Make the task that a config asks for. Raises TrainingError."""
    return KINDS[settings.kind].make_task(settings, data, models)


def train(
    config: Path,
    *,
    data: Path | None = None,
    models: Path,
    run: Path | None = None,
    force: bool = False,
    make: MakeTask = make_task,
) -> list[Manifest]:
    """Train, prove and publish what a config describes; goes on where an interrupted run stopped.

    Started by torchrun, the processes train together; the first measures and publishes, the others return
    nothing.

    Args:
        config: the TOML file.
        data: directory that its paths are relative to; by default ENCODERY_DATA, or `data`.
        models: where to publish.
        run: directory of the run; by default `runs/NAME`.
        force: publish the weights of the start, too, if no step was better.
        make: settings, directory of the data and that of the models to a task.

    Raises:
        NothingLearnedError: no step was better than the start, and it is not to be published by force.
        TrainingError: see `training.errors`.
        BundleError: what was trained cannot be published.
    """
    settings = load_config(config)
    directory = run or Path("runs") / settings.name
    try:
        with ranks.joined():
            _check_ranks(settings)
            with open_run(directory, settings) if ranks.is_first() else nullcontext():
                task = make(settings, data_directory(data), models)
                state = Trainer(task, settings.train, seed=settings.seed, directory=directory).fit()
                if not ranks.is_first():
                    return []
                metrics = _judge(task, state, settings, directory, force=force)
                return _publish(task, metrics, models)
    except KeyboardInterrupt:  # outside of the loop, which writes a checkpoint first
        raise InterruptedRunError(
            "stopped; what is done so far is kept, run the same command to go on"
        ) from None


def _check_ranks(settings: Run) -> None:
    """Refuse several processes for a kind of run that is trained by one. Raises ConfigError."""
    if ranks.count() > 1 and not KINDS[settings.kind].by_ranks:
        kinds = ", ".join(name for name, kind in KINDS.items() if kind.by_ranks)
        raise ConfigError(
            f"a run of kind {settings.kind} is trained by one process, and torchrun started {ranks.count()}; "
            f"start it without torchrun (kinds that several train: {kinds})"
        )


def _judge(task: Task, state: State, settings: Run, directory: Path, *, force: bool) -> dict[str, Metric]:
    """Measure and tell what came of the run. Raises NothingLearnedError."""
    metric = settings.train.metric
    encoders = task.encoders()  # from here on the weights are those that are published
    with phase("measure what was trained"):
        metrics = validation_metrics(task.evaluate(), state.start) | task.score(encoders)
    write_metrics(directory, metrics)
    say("\n".join(metrics_table(metrics)))
    say("\n".join([*verdict(state, metric, starts_learned=task.starts_learned), f"{draw_curves(directory)}"]))
    if is_the_start(state, metric) and not task.starts_learned and not force:
        raise NothingLearnedError(refusal(state, metric))
    return metrics


def _publish(task: Task, metrics: dict[str, Metric], models: Path) -> list[Manifest]:
    with phase("export, and compare with torch"):
        drafts = task.drafts(metrics)
    with phase("prove and publish"):
        manifests = publish(models, drafts)
    for manifest in manifests:
        say(f"published {manifest.name}/{manifest.version}, space {manifest.space}")
    return manifests


def evaluate(
    config: Path, *, data: Path | None = None, models: Path | None = None, url: str | None = None
) -> dict[str, Metric]:
    """The metrics of a config's task, for its published bundles or for a server that serves them.

    Args:
        config: the TOML file that the encoders were trained by.
        data: as for `train`.
        models: the directory to load the current versions from.
        url: in its place, the base URL of a running server.

    Raises:
        TrainingError: see `training.errors`.
        BundleError: an encoder is not published, or not sound.
    """
    settings = load_config(config)
    directory = models or Path("models")
    task = make_task(settings, data_directory(data), directory)
    place = Published(directory, url)
    return task.score({name: place.open(name).encode for name in settings.model_names()})
