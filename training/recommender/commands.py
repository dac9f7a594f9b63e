"""What the command line does with recommenders alone: one function per command, for `encodery.cli`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.config import load_config_as
from training.console import say
from training.data.files import data_directory
from training.published import Published
from training.recommender.settings import RecommenderRun
from training.recommender.suite.command import FOLDS, Suite, run
from training.recommender.suite.results import report


def evaluate(
    config: Path,
    *,
    data: Path | None,
    split: str,
    out: Path | None,
    url: str | None,
    protocols: Sequence[str] = (),
    folds: Sequence[int] = FOLDS,
) -> str:
    """Measure a config by the recommender suite, and return the table; see `training.recommender.suite`.

    Raises:
        TrainingError: see `training.errors`.
    """
    settings = load_config_as(config, RecommenderRun)
    results = out or Path("runs") / f"evaluate-{settings.name}-{split}"
    place = Published(Path("models"), url) if url is not None else None
    suite = Suite(settings, data_directory(data), split, results, place)
    found = run(suite, protocols=protocols, folds=folds)
    say(f"wrote {results / 'results.json'} and {results / 'results.html'}")
    return report(found)
