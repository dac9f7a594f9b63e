"""Runs the suite: trains per protocol and fold, or asks a server, and measures the baselines beside it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from bundle.progress import Progress
from training.errors import ConfigError
from training.metrics import MetricValue
from training.published import Published
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.held_out import EvaluationSplit
from training.recommender.ranking import evaluate_users
from training.recommender.settings import RecommenderRun
from training.recommender.suite.compare import Difference, Values, difference, joined
from training.recommender.suite.tuned_baselines import (
    BASELINES,
    COLD_BASELINES,
    Scorer,
    Settings,
    TrainingInteractions,
    TunedBaseline,
)
from training.recommender.task import RecommenderTask
from training.task import Encode
from training.trainer import Trainer

Split: TypeAlias = Literal["dev", "test"]

OWN = "encoder"
COLD_SHARE = 0.1  # of the items, where the config keeps none away


@dataclass(frozen=True)
class Protocol:
    """One way to hold out, and the settings of a run that do so."""

    name: str
    changes: Mapping[str, Any]
    folds: int = 1
    is_cold: bool = False


@dataclass
class ProtocolResults:
    """The results of one protocol: values per user by method, and what was chosen."""

    protocol: str
    values: dict[str, list[Values]] = field(default_factory=dict)
    chosen: dict[str, Settings] = field(default_factory=dict)

    def add(self, method: str, values: Values) -> None:
        """Values of one fold's users."""
        self.values.setdefault(method, []).append(values)


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of one method under one protocol, and how far the encoder is above it."""

    protocol: str
    figure: str
    method: str
    users: int
    value: MetricValue
    encoder_above: Difference | None


def run(
    settings: RecommenderRun,
    *,
    data: Path,
    split: str,
    out: Path,
    folds: int = 5,
    place: Published | None = None,
) -> list[ComparisonRow]:
    """Measure and write results.json.

    Args:
        settings: of the run.
        data: what its paths are relative to.
        split: `dev` measures the validation users that settings are chosen by, `test` the others.
        out: where results.json goes.
        folds: how many disjoint tenths of the users protocol S takes its test users from.
        place: where the pair is published, to be measured as it is, on users that it was not trained on.

    Raises:
        ConfigError: the data or the split cannot be used.
    """
    if split not in ("dev", "test"):
        raise ConfigError(f"--split is {split!r}; it must be dev or test")
    protocols = protocols_of(settings, folds, published=place is not None)
    rows, chosen = [], {}
    with Progress(total=sum(p.folds for p in protocols), label="protocols", unit="runs") as bar:
        for protocol in protocols:
            measured = ProtocolResults(protocol.name)
            for fold in range(protocol.folds):
                _measure(
                    measured, protocol, _changed(settings, protocol, fold), data, split=split, place=place
                )
                bar.advance(1, f"{protocol.name}, fold {fold}")
            rows += rows_of(measured)
            chosen[protocol.name] = measured.chosen
    out.mkdir(parents=True, exist_ok=True)
    content = {"schema_version": 1, "split": split, "chosen": chosen, "rows": [asdict(row) for row in rows]}
    (out / "results.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return rows


def protocols_of(run: RecommenderRun, folds: int, *, published: bool) -> list[Protocol]:
    """S, T and C; for a pair that is published already, the one that it was held out for."""
    if published:
        found = [Protocol("T" if run.data.protocol == "time" else "S", {})]
        return found + ([Protocol("C", {}, is_cold=True)] if run.data.cold_items else [])
    cold = run.data.cold_items or COLD_SHARE
    protocols = [
        Protocol("S", {"protocol": "users", "cold_items": 0.0}, folds),
        Protocol("T", {"protocol": "time", "cold_items": 0.0}),
    ]
    if any(feature.kind == "text" for feature in run.item):
        protocols.append(Protocol("C", {"protocol": "users", "cold_items": cold}, is_cold=True))
    return protocols


def _changed(run: RecommenderRun, protocol: Protocol, fold: int) -> RecommenderRun:
    changes = dict(protocol.changes) | ({"fold": fold} if protocol.folds > 1 else {})
    return run.model_copy(update={"data": run.data.model_copy(update=changes)})


def _measure(
    measured: ProtocolResults,
    protocol: Protocol,
    run: RecommenderRun,
    data: Path,
    *,
    split: str,
    place: Published | None,
) -> None:
    """One fold: the encoder, then every baseline at what was best on validation users."""
    if place is None:
        examples, encoders = _trained(run, data)
    else:
        examples = RecommenderExamples(run, data)
        encoders = {name: place.open(name).encode for name in run.model_names()}
    splits = _splits(examples, is_cold=protocol.is_cold)
    held_out = splits[split]
    measured.add(OWN, values_of(_encoder(examples, encoders, run), held_out))
    interactions = TrainingInteractions.of(examples)
    for baseline in COLD_BASELINES if protocol.is_cold else BASELINES:
        if baseline.name not in measured.chosen:  # by the first fold, for all
            measured.chosen[baseline.name] = best(baseline, interactions, splits["dev"], run.train.metric)
        measured.add(
            baseline.name, values_of(baseline.fit(interactions, measured.chosen[baseline.name]), held_out)
        )


def _splits(examples: RecommenderExamples, *, is_cold: bool) -> dict[str, EvaluationSplit]:
    if is_cold:
        split = examples.split
        return {"dev": examples.new_items(split.validation), "test": examples.new_items(split.test)}
    return {"dev": examples.validation(), "test": examples.test()}


def _trained(run: RecommenderRun, data: Path) -> tuple[RecommenderExamples, Mapping[str, Encode]]:
    task = RecommenderTask(run, data)
    with tempfile.TemporaryDirectory() as directory:
        Trainer(task, run.train, seed=run.seed, directory=Path(directory)).fit()
    return task.examples, task.encoders()


def _encoder(examples: RecommenderExamples, encoders: Mapping[str, Encode], run: RecommenderRun) -> Scorer:
    """The pair as a scorer of all items."""

    def scores(held_out: EvaluationSplit) -> Any:
        found = np.full((len(held_out.users), len(examples.log.items)), -np.inf, dtype=np.float32)
        items = encoders[run.item_name](examples.candidates(held_out))
        found[:, held_out.candidates] = encoders[run.user_name](held_out.users) @ items.T
        return found

    return scores


def values_of(scorer: Scorer, held_out: EvaluationSplit) -> Values:
    """Values per user."""
    return evaluate_users(scorer(held_out)[:, held_out.candidates], held_out.history, held_out.targets)


def best(
    baseline: TunedBaseline, interactions: TrainingInteractions, held_out: EvaluationSplit, metric: str
) -> Settings:
    """The settings with the best mean on validation users; of equal ones the first."""
    if len(baseline.grid) == 1:
        return baseline.grid[0]
    return max(
        baseline.grid,
        key=lambda settings: float(values_of(baseline.fit(interactions, settings), held_out)[metric].mean()),
    )


def rows_of(measured: ProtocolResults) -> list[ComparisonRow]:
    """Means over all folds' users, and the encoder against each baseline."""
    values = {method: joined(parts) for method, parts in measured.values.items()}
    return [
        ComparisonRow(
            protocol=measured.protocol,
            figure=name,
            method=method,
            users=len(found),
            value=MetricValue.of(found),
            encoder_above=None if method == OWN else difference(values[OWN][name], found),
        )
        for name in values[OWN]
        for method, found in ((method, rows[name]) for method, rows in values.items())
    ]


def report(rows: Sequence[ComparisonRow]) -> str:
    """Write the table that the terminal shows."""
    lines = [
        "| protocol | figure | method | value | encoder above it (95 %) | sure |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        above, sure = "", ""
        if row.encoder_above is not None:
            gap = row.encoder_above
            above, sure = f"{gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})", f"{100 * gap.better:.1f} %"
        value = f"{row.value.mean:.4f} ± {row.value.standard_error:.4f}"
        lines.append(f"| {row.protocol} | {row.figure} | {row.method} | {value} | {above} | {sure} |")
    return "\n".join(lines)
