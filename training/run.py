"""The directory of a run: its config, log, checkpoints, curves and metrics.

runs/NAME/config.json log.jsonl checkpoint.pt best.pt curves.png metrics.json
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from bundle.disk import DISK
from bundle.manifest import ERROR, Metric
from training.config import Run
from training.errors import ConfigError
from training.metrics import VALIDATION_LOSS
from training.trainer import CHECKPOINT, LOG


@contextmanager
def open_run(directory: Path, config: Run) -> Iterator[Path]:
    """Make the directory, or go on in it, alone; before the first checkpoint its config may still change.

    Raises:
        ConfigError: it belongs to another config, or another process trains in it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        lock = DISK.lock(directory)
    except BlockingIOError:
        raise ConfigError(
            f"another process trains in {directory}; wait for it, or give --run another directory"
        ) from None
    try:
        _check_config(directory, config)
        yield directory
    finally:
        DISK.unlock(lock)


def _check_config(directory: Path, config: Run) -> None:
    written = directory / "config.json"
    content = config.model_dump_json(indent=1) + "\n"
    same = written.exists() and written.read_text(encoding="utf-8") == content
    if not same and (directory / CHECKPOINT).exists():
        raise ConfigError(
            f"{directory} holds a run of another config; give --run another directory, or remove this one"
        )
    if not same:
        written.write_text(content, encoding="utf-8")


def write_metrics(directory: Path, metrics: Mapping[str, Metric]) -> None:
    """metrics.json: what the run reached."""
    (directory / "metrics.json").write_text(
        json.dumps({name: metric.model_dump() for name, metric in metrics.items()}, indent=1) + "\n"
    )


def draw_curves(directory: Path) -> Path:
    """curves.png: every logged value against the step, losses above; metrics and their errors below."""
    import matplotlib  # noqa: PLC0415  # a second to import; only needed at the end of a run

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    losses: dict[str, list[tuple[int, float]]] = defaultdict(list)
    metrics: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for line in (directory / LOG).read_text().splitlines():
        row = json.loads(line)
        step = int(row.pop("step"))
        for name, value in row.items():
            is_loss = "loss" in row or name == VALIDATION_LOSS
            (losses if is_loss else metrics)[name].append((step, value))
    errors = {name: metrics.pop(name + ERROR, []) for name in list(metrics) if not name.endswith(ERROR)}
    figure, panels = plt.subplots(2, 1, figsize=(8, 8), sharex=True)
    for panel, curves, title in zip(panels, (losses, metrics), ("loss", "validation"), strict=True):
        for name, points in sorted(curves.items()):
            steps, values = np.array(points).T
            [line] = panel.plot(steps, values, label=name, marker="." if len(points) < 40 else None)
            if spread := errors.get(name):
                error = np.array(spread)[:, 1]
                panel.fill_between(steps, values - error, values + error, alpha=0.2, color=line.get_color())
        panel.set_ylabel(title)
        panel.grid(alpha=0.3)
        if curves:
            panel.legend(fontsize="small")
    panels[1].xaxis.get_major_locator().set_params(integer=True)
    panels[1].set_xlabel("step")
    figure.tight_layout()
    path = directory / "curves.png"
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path
