"""What the command line does with training: one function per command, for `encodery.cli`.

train     config -> task -> loop -> figures -> bundles
import    directory of a pretrained encoder -> bundle
mine      pairs of a config and a published encoder -> file of triplets
evaluate  the same figures for bundles on disk, or for a server
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from bundle.manifest import Manifest, Metric
from bundle.publish import publish
from bundle.store import Store, check_name
from training.card import metrics_table
from training.client import served
from training.config import load_config
from training.errors import ConfigError, InterruptedRunError
from training.recommender.settings import RecommenderRun
from training.run import draw_curves, open_run, write_metrics
from training.task import Encode, Task
from training.text.mining import MiningRules
from training.text.settings import TextRun
from training.trainer import Trainer

MakeTask: TypeAlias = Callable[[TextRun | RecommenderRun, Path], Task]


def make_task(settings: TextRun | RecommenderRun, data: Path) -> Task:
    """The task of a run's kind."""
    if isinstance(settings, TextRun):
        from training.text.task import TextTask  # noqa: PLC0415  # each kind imports only what it needs

        return TextTask(settings, data)
    from training.recommender.task import RecommenderTask  # noqa: PLC0415

    return RecommenderTask(settings, data)


def train(
    config: Path,
    *,
    data: Path | None = None,
    models: Path,
    run: Path | None = None,
    make: MakeTask = make_task,
) -> list[Manifest]:
    """Train, prove and publish what a config describes; goes on where an interrupted run stopped.

    Args:
        config: the TOML file.
        data: directory that its paths are relative to; by default ENCODERY_DATA, or `data`.
        models: where to publish.
        run: directory of the run; by default `runs/NAME`.
        make: settings and directory of the data to a task.

    Raises:
        TrainingError: see `training.errors`.
        BundleError: what was trained cannot be published.
    """
    settings = load_config(config)
    directory = open_run(run or Path("runs") / settings.name, settings)
    try:
        return _train(make(settings, data_directory(data)), settings, directory, models)
    except KeyboardInterrupt:  # outside of the loop, which writes a checkpoint first
        raise InterruptedRunError(
            "stopped; what is done so far is kept, run the same command to go on"
        ) from None


def _train(task: Task, settings: TextRun | RecommenderRun, directory: Path, models: Path) -> list[Manifest]:
    state = Trainer(task, settings.train, seed=settings.seed, directory=directory).fit()
    _say(f"best {settings.train.metric} {state.best:.4f} at step {state.best_step}; {draw_curves(directory)}")
    if state.best_step == 0:
        _say("no evaluation was better than the one before training: the weights are those of the start")
    metrics = task.score(task.encoders())
    write_metrics(directory, metrics)
    _say("\n".join(metrics_table(metrics)))
    manifests = publish(models, task.drafts(metrics))
    for manifest in manifests:
        _say(f"published {manifest.name}/{manifest.version}, space {manifest.space}")
    return manifests


def import_pretrained(
    directory: Path,
    name: str,
    *,
    models: Path,
    description: str | None = None,
    max_length: int | None = None,
) -> Manifest:
    """Prove and publish the pretrained encoder in a directory. For the arguments see `imported`.

    Raises:
        TrainingError: it cannot be represented, or its graph does not give torch's vectors.
        BundleError: it cannot be published.
    """
    from training.text.imported import imported  # noqa: PLC0415  # only this command needs it

    check_name(name)  # before the export, which takes long
    draft = imported(directory, name, description=description, max_length=max_length)
    (manifest,) = publish(models, [draft])
    parity = manifest.parity
    _say(
        f"onnxruntime is {parity.max_abs_diff:.1e} off torch over {parity.inputs} texts, "
        f"{parity.batch_max_abs_diff:.1e} in padded batches"
    )
    _say(f"published {manifest.name}/{manifest.version}, space {manifest.space}")
    return manifest


def mine(
    config: Path, name: str, out: Path, *, data: Path | None = None, models: Path, rules: MiningRules
) -> int:
    """Find hard negatives for the pairs of a config, by a published encoder; returns how many.

    Args:
        config: the TOML file of a text run.
        name: of the encoder.
        out: JSONL to write, which `data.triplets` reads.
        data: as for `train`.
        models: the directory to load its current version from.
        rules: which candidates are taken.

    Raises:
        TrainingError: see `training.errors`.
        BundleError: the encoder is not published, or not sound.
    """
    from training.data.tables import BadRows  # noqa: PLC0415  # only this command needs them
    from training.text.data.readers import read_pairs  # noqa: PLC0415
    from training.text.triplets import write_triplets  # noqa: PLC0415

    settings = load_config(config)
    if not isinstance(settings, TextRun):
        raise ConfigError(f"{config} is of kind {settings.kind!r}; pairs are in one of kind 'text'")
    bad = BadRows(settings.data.bad_rows)
    pairs = read_pairs(data_directory(data), settings.data.pairs, settings.data.pair_sources, bad)
    if bad.found:
        _say(bad.report())
    encoder = Store(models).load(name)
    count = write_triplets(pairs, lambda inputs: encoder.encode(inputs, truncate="end"), rules, out)
    _say(f"wrote {count:,} triplets for {len(pairs.first):,} pairs to {out}")
    return count


def evaluate(
    config: Path, *, data: Path | None = None, models: Path | None = None, url: str | None = None
) -> dict[str, Metric]:
    """The figures of a config's task, for its published bundles or for a server that serves them.

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
    task = make_task(settings, data_directory(data))
    names = model_names(settings)
    encoders: Mapping[str, Encode]
    if url is not None:
        encoders = {name: served(url, name) for name in names}
    else:
        store = Store(models or Path("models"))
        encoders = {name: store.load(name).encode for name in names}
    return task.score(encoders)


def evaluate_recommender(
    config: Path, *, data: Path | None, split: str | None, out: Path | None, url: str | None
) -> str:
    """The recommender suite on a config, as a table; see `training.recommender.suite`.

    Raises:
        TrainingError: see `training.errors`.
    """
    from training.recommender.suite.command import report, run  # noqa: PLC0415  # only this command needs it

    settings = load_config(config)
    if not isinstance(settings, RecommenderRun):
        raise ConfigError(f"{config} is of kind {settings.kind!r}; this suite measures a recommender")
    chosen = split or "dev"
    place = out or Path("runs") / f"evaluate-{settings.name}-{chosen}"
    rows = run(settings, data=data_directory(data), split=chosen, out=place, url=url)
    _say(f"wrote {place / 'results.json'}")
    return report(rows)


def model_names(settings: TextRun | RecommenderRun) -> list[str]:
    """What a run publishes."""
    if isinstance(settings, TextRun):
        return [settings.name]
    return [f"{settings.name}-user", f"{settings.name}-item"]


def data_directory(given: Path | None) -> Path:
    """Where the paths of a config start."""
    return given or Path(os.environ.get("ENCODERY_DATA") or "data")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
