"""One fold of one protocol: the pair and every baseline on the same users; kept, so that a run can go on."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.console import say
from training.published import Published
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit, InnerSplit
from training.recommender.ranking import Values, metrics_of, rank
from training.recommender.rivals.interactions import TrainingInteractions
from training.recommender.rivals.search import Choice
from training.recommender.rivals.table import BASELINES, COLD_BASELINES, Scorer
from training.recommender.settings import RecommenderRun
from training.recommender.suite.breakdown import Breakdown, Example, breakdown, examples_of
from training.recommender.task import RecommenderTask
from training.task import Encode
from training.threads import fastest_algebra
from training.trainer import Trainer

OWN = "encoder"


@dataclass
class Part:
    """What one fold found.

    Attributes:
        key: of the config, the data and what was measured; another one is not gone on with.
        values: per method the metrics of each user.
        chosen: the baselines' settings.
        seconds: wall time of training, and of tuning, fitting and measuring each method.
        lengths: entries of each user's history.
        left_out: users without a target.
        later: pairs after the moment of a split in time, by who and what was known.
        breakdowns: per method, what else can be said of its rankings.
        examples: some users, and what the encoder recommends.
    """

    key: str
    protocol: str
    fold: int
    values: dict[str, Values] = field(default_factory=dict)
    chosen: dict[str, Choice] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    left_out: int = 0
    later: dict[str, float] | None = None
    breakdowns: dict[str, Breakdown] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self), default=_listed), encoding="utf-8")
        unfinished.replace(path)

    @classmethod
    def load(cls, path: Path, key: str) -> Part | None:
        """Read it; None if there is none, or one of something else."""
        if not path.exists():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        content["values"] = {
            method: {name: np.array(found) for name, found in values.items()}
            for method, values in content["values"].items()
        }
        content["chosen"] = {name: Choice.from_json(choice) for name, choice in content["chosen"].items()}
        content["breakdowns"] = {name: Breakdown(**one) for name, one in content["breakdowns"].items()}
        content["examples"] = [Example(**one) for one in content["examples"]]
        return cls(**content)


def _listed(value: Any) -> Any:
    return value.tolist()


def measure(
    part: Part,
    run: RecommenderRun,
    data: Path,
    *,
    split: str,
    is_cold: bool,
    place: Published | None,
    chosen: Mapping[str, Choice],
) -> None:
    """Fill a part: the encoder, then every baseline at what is best where settings are chosen.

    Args:
        part: to fill.
        run: the config, with the fold's own settings.
        data: what its paths are relative to.
        split: `dev` or `test`.
        is_cold: whether new items are ranked, among themselves.
        place: where the pair is published, if it is not to be trained.
        chosen: settings of baselines that an earlier fold has chosen.
    """
    start = time.monotonic()
    examples, encoders = _trained(run, data) if place is None else _published(run, data, place)
    part.seconds["training"] = time.monotonic() - start
    held_out, inner = _splits(examples, split, is_cold=is_cold)
    part.lengths = [len(warm) for warm in held_out.warm]
    part.left_out, part.later = held_out.left_out, asdict(examples.log.later) if examples.log.later else None
    interactions = TrainingInteractions.of(examples)
    counts = interactions.popularity(None)
    start = time.monotonic()
    best = _add(part, OWN, _encoder(examples, encoders, run), held_out, counts)
    part.seconds[OWN] = time.monotonic() - start
    part.examples = examples_of(examples, held_out, best)
    fitted = interactions if inner is None else TrainingInteractions.of(examples, inner)
    by = examples.validation() if inner is None or not inner.held_out.users else inner.held_out
    for baseline in COLD_BASELINES if is_cold else BASELINES:
        start = time.monotonic()
        with fastest_algebra(interactions.items):
            if (choice := chosen.get(baseline.name)) is None:
                choice = baseline.choose(fitted, by, run.train.metric, part.chosen)
            part.chosen[baseline.name] = choice
            _add(part, baseline.name, baseline.fit(interactions, choice.settings), held_out, counts)
        part.seconds[baseline.name] = time.monotonic() - start
        say(_told(part, baseline.name, choice, run.train.metric))


def _told(part: Part, method: str, choice: Choice, metric: str) -> str:
    value = float(part.values[method][metric].mean())
    edge = f", still best at the edge of {', '.join(choice.at_edge)}" if choice.at_edge else ""
    return (
        f"{part.protocol}, fold {part.fold}: {method}, {metric} {value:.4f} at {dict(choice.settings)}, of "
        f"{choice.tried} tried{edge}; {part.seconds[method]:.0f} s"
    )


def _add(part: Part, method: str, scorer: Scorer, held_out: EvaluationSplit, counts: Any) -> Any:
    best = rank(scorer(held_out)[:, held_out.candidates], held_out.history)
    part.values[method] = metrics_of(best, held_out.targets)
    part.breakdowns[method] = breakdown(best, held_out, counts)
    return best


def _splits(
    examples: RecommenderExamples, split: str, *, is_cold: bool
) -> tuple[EvaluationSplit, InnerSplit | None]:
    """What is measured, and what chooses, if that is not the validation users."""
    users = examples.split.validation if split == "dev" else examples.split.test
    if is_cold:
        return examples.new_items(users), examples.validation_of_new_items()
    inner = examples.validation_in_time() if examples.log.later else None
    return examples.validation() if split == "dev" else examples.test(), inner


def _trained(run: RecommenderRun, data: Path) -> tuple[RecommenderExamples, Mapping[str, Encode]]:
    task = RecommenderTask(run, data)
    with tempfile.TemporaryDirectory() as directory:
        Trainer(task, run.train, seed=run.seed, directory=Path(directory)).fit()
    return task.examples, task.encoders()


def _published(
    run: RecommenderRun, data: Path, place: Published
) -> tuple[RecommenderExamples, Mapping[str, Encode]]:
    examples = RecommenderExamples(run, data)
    return examples, {name: place.open(name).encode for name in run.model_names()}


def _encoder(examples: RecommenderExamples, encoders: Mapping[str, Encode], run: RecommenderRun) -> Scorer:
    """The pair as a scorer of all items; of those that are no candidates it says nothing."""

    def scores(held_out: EvaluationSplit) -> Any:
        found = np.full((len(held_out.users), len(examples.log.items)), -np.inf, dtype=np.float32)
        items = encoders[run.item_name](examples.candidates(held_out))
        found[:, held_out.candidates] = encoders[run.user_name](held_out.users) @ items.T
        return found

    return scores
