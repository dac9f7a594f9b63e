"""From what a config leaves out of `[towers]` to a config with nothing left out, and the reasons in figures.

    examples -> questions -> settings of the closed form -> dimensions -> scale -> popularity of now

Everything that the config gives is kept. By protocol `users` the questions are by user, and only the
popularity of now, which they cannot tell (each stands at a moment of its own), is asked by time; by protocol
`time` all is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from training.config.sections import HiddenConfig
from training.recommender.choice.questions import Question, by_time, by_users
from training.recommender.choice.search import Axis, Measure, Tried, beside, descend, ladder
from training.recommender.config.towers import InitialisationConfig, RecentConfig, TowersConfig
from training.recommender.data.examples import RecommenderExamples
from training.recommender.encoders.factors import Block, factors, of_norm_1
from training.recommender.encoders.structure import ClosedForm
from training.recommender.settings import RecommenderRun

NOT_OF_FORM = {"scale", "content_ridge", "content_own"}
FEWEST = 20  # measured users; with fewer, chance decides
DIMENSIONS = (128, 256, 512)
NEAR = 0.995  # of the best figure: the fewest dimensions that reach it
SCALES = tuple(float(scale) for scale in np.round(np.geomspace(1.0, 64.0, 19), 2))
DAYS = (7, 14, 30, 60)
LEAST_HALF_LIFE_DAYS = 0.01  # a quarter of an hour
LEAST_RECENT = 0.002  # decides where nothing else does, as for a user of whom nothing is known
LEAST_POPULARITY = 0.005  # likewise; kept in 8 bits a number, so less would be rounded away


@dataclass(frozen=True)
class Choice:
    """A run with nothing left out of `[towers]`, and what was tried.

    Attributes:
        measured: by whom and what the candidates were measured, in words.
    """

    run: RecommenderRun
    tried: list[Tried]
    measured: str

    def lines(self) -> Iterator[str]:
        """What was measured, and a line for each setting."""
        yield f"start in closed form, {self.measured}:"
        yield from lines_of(self.tried)
        recent = self.run.towers.recent
        if recent is not None and (recent.weight or 0.0) <= LEAST_RECENT:
            yield f"  {recent.name} decides where nothing else does: the last days say little of the next"


def lines_of(tried: Sequence[Tried]) -> Iterator[str]:
    """A line for each setting: its candidates with their last figures, the chosen one in brackets."""
    rows: dict[str, dict[str, str]] = {}
    for one in tried:
        text = f"{one.value} {one.figure:.4f}"
        rows.setdefault(one.setting, {})[one.value] = f"[{text}]" if one.chosen else text
    for setting, texts in rows.items():
        yield f"  {setting}: {', '.join(texts.values())}"


def resolve(run: RecommenderRun, examples: RecommenderExamples) -> Choice:
    """Choose what `[towers]` leaves out; the run must have `towers.initialisation`."""
    config = run.towers.initialisation
    assert config is not None
    in_time = run.data.protocol == "time"
    questions = [by_time(examples)] if in_time else by_users(examples, run.seed)
    measure = Measure(questions, run.train.metric)
    span = float(questions[0].days_ago.max(initial=0.0))
    form = given(run.towers)
    if measure.users < FEWEST:
        words = f"by default: {measure.users} users to measure by are fewer than {FEWEST}"
        form = _never_without(form, run.towers)
        return Choice(
            _with(run, examples, form, _dimensions_of(run.towers) or DIMENSIONS[0], 10.0), [], words
        )
    form, tried = descend(measure.of, form, list(axes(run.towers, span, in_time=in_time)))
    dim, more = _dimensions(measure, form, run.towers)
    scale, of_scale = _scale(measure, form, config)
    if run.towers.recent is not None and not in_time:
        form, of_recent = _recent(examples, form, run)
        more += of_recent
    form = _never_without(form, run.towers)
    words = f"{run.train.metric} of {measure.users:,} users, {'by time' if in_time else 'by user'}"
    return Choice(_with(run, examples, form, dim, scale), tried + more + of_scale, words)


def given(towers: TowersConfig) -> ClosedForm:
    """The closed form by what the config gives, and by default where it says nothing."""
    config, recent = (
        towers.initialisation or InitialisationConfig(),
        towers.recent or RecentConfig(weight=0.0),
    )
    settings: dict[str, Any] = {
        name: value for name, value in config.model_dump(exclude=NOT_OF_FORM).items() if value is not None
    }
    if towers.half_lives_days is not None:
        settings["half_lives_days"] = tuple(towers.half_lives_days)
    if recent.days is not None:
        settings["recent_days"] = recent.days
    if recent.weight is not None:
        settings["recent"] = recent.weight
    return ClosedForm(**settings)


def axes(towers: TowersConfig, span_days: float, *, in_time: bool) -> Iterator[Axis]:
    """What is to be chosen, in the order in which it is."""
    config = towers.initialisation or InitialisationConfig()
    if config.ease_lambda is None:
        yield ladder("ease_lambda", (100.0, 300.0, 1000.0, 3000.0), 10**0.5)
    if towers.half_lives_days is None:
        yield Axis("half_lives_days", [{"half_lives_days": one} for one in half_lives(span_days)])
    if config.content_weight is None:
        yield ladder("content_weight", (0.0, 3.0, 10.0, 30.0, 100.0), 10**0.5)
    if in_time and towers.recent is not None:
        yield from recent_axes(towers.recent)
    if config.popularity is None:
        yield ladder("popularity", (0.0, 0.005, 0.01, 0.02, 0.04, 0.08), 2.0)
    if config.itemcf is None:
        yield Axis("itemcf", [{"itemcf": one} for one in (0.0, 0.2, 0.5, 0.8, 1.0)])
    if config.shrink is None:
        yield ladder("shrink", (0.0, 10.0, 30.0, 100.0), 10**0.5)
    if config.popularity_power is None:
        yield Axis("popularity_power", [{"popularity_power": one} for one in (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4)])


def half_lives(span_days: float) -> list[tuple[float, ...]]:
    """None, single ones from a fiftieth of the log's time on, and mixtures with what hardly fades."""
    week, month, season, year, ever = (
        max(LEAST_HALF_LIFE_DAYS, float(f"{span_days * share:.2g}")) for share in (0.02, 0.06, 0.2, 0.6, 6.0)
    )
    single = [(), (week,), (month,), (season,), (year,)]
    return [*single, (week, season), (month, year), (month, ever), (week, season, ever), (season, ever)]


def recent_axes(recent: RecentConfig) -> Iterator[Axis]:
    """The weight, no larger than it must be, since it is the same for all; then the days it is best for."""
    if recent.weight is None:
        yield ladder("recent", (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32), 2.0, is_frugal=True)
    if recent.days is None:
        yield Axis("recent_days", [{"recent_days": one} for one in DAYS])


def _never_without(form: ClosedForm, towers: TowersConfig) -> ClosedForm:
    """With some popularity, unless the config says none: or a user without history gets items by chance."""
    recent, config = towers.recent, towers.initialisation or InitialisationConfig()
    if recent is not None and recent.weight is None and not form.recent:
        return replace(form, recent=LEAST_RECENT, recent_days=recent.days or DAYS[-1])
    if recent is None and config.popularity is None and not form.popularity:
        return replace(form, popularity=LEAST_POPULARITY)
    return form


def _recent(
    examples: RecommenderExamples, form: ClosedForm, run: RecommenderRun
) -> tuple[ClosedForm, list[Tried]]:
    """Popularity of now, by time: the rest stays as it is."""
    assert run.towers.recent is not None
    measure = Measure([by_time(examples)], run.train.metric)
    if measure.users < FEWEST:
        return form, []
    return descend(measure.of, form, list(recent_axes(run.towers.recent)))


def _dimensions_of(towers: TowersConfig) -> int | None:
    """The dimensions that the config asks for, if it does."""
    for layers in (towers.item, towers.user):
        if layers is not None:
            return layers.output_dim
    return None if towers.item_dim is None else (towers.item_dim + 1) // 2


def _dimensions(measure: Measure, form: ClosedForm, towers: TowersConfig) -> tuple[int, list[Tried]]:
    """The fewest dimensions that are near the best, of what the vectors cut to them reach."""
    if (asked := _dimensions_of(towers)) is not None:
        return asked, []
    question, matrix = measure.questions[0], measure.matrices(form)[0]
    pooled, added = question.pooled(form.half_lives_days), beside(form, question)
    histories, figures = [of_norm_1(question.interactions)], dict[int, float]()
    for dim in DIMENSIONS:
        cut = factors([Block(matrix)], dim - 1, histories)
        scores = np.asarray(pooled @ cut.left[0] @ cut.right[0].T + added, dtype=np.float32)
        figures[dim] = float(measure.of_scores(scores, question).mean())
        if dim > len(matrix):
            break
    best = max(figures.values())
    chosen = next(dim for dim, figure in figures.items() if figure >= NEAR * best)
    return chosen, [Tried("dimensions", str(dim), figure, dim == chosen) for dim, figure in figures.items()]


def _scale(measure: Measure, form: ClosedForm, config: InitialisationConfig) -> tuple[float, list[Tried]]:
    """The scale of the scores under which what users took is likeliest, by the softmax over all others."""
    if config.scale is not None:
        return config.scale, []
    question = measure.questions[0]
    scores = torch.from_numpy(measure.scores(form)[0] + beside(form, question))
    for row, history in zip(scores, question.histories, strict=True):
        row[torch.from_numpy(history)] = -torch.inf
    figures = {scale: _likelihood(scale * scores, question) for scale in SCALES}
    chosen = max(figures, key=figures.__getitem__)
    return chosen, [Tried("scale (log likelihood)", f"{chosen:g}", figures[chosen], True)]


def _likelihood(scores: torch.Tensor, question: Question) -> float:
    """Mean log probability of the targets, each user's mean counting once."""
    rows = scores.log_softmax(1)
    return float(np.mean([float(row[one].mean()) for row, one in zip(rows, question.targets, strict=True)]))


def _with(
    run: RecommenderRun, examples: RecommenderExamples, form: ClosedForm, dim: int, scale: float
) -> RecommenderRun:
    """The run with everything in it that was chosen."""
    towers = run.towers
    unweighted = bool(form.half_lives_days) and _is_read_unweighted(towers, examples)
    assert towers.initialisation is not None
    values: Mapping[str, Any] = {
        name: getattr(form, name) for name in InitialisationConfig.model_fields if name not in NOT_OF_FORM
    }
    layers = HiddenConfig(output_dim=dim)
    changes: dict[str, Any] = {
        "item_dim": towers.item_dim or (2 + unweighted) * (dim - towers.item_bias) + 1,
        "half_lives_days": list(form.half_lives_days),
        "unweighted": unweighted,
        "initialisation": towers.initialisation.model_copy(update={**values, "scale": scale}),
        "user": towers.user or layers,
        "item": towers.item or layers,
    }
    if towers.recent is not None:
        update = {"days": form.recent_days, "weight": form.recent}
        changes["recent"] = towers.recent.model_copy(update=update)
    return run.model_copy(update={"towers": towers.model_copy(update=changes)})


def _is_read_unweighted(towers: TowersConfig, examples: RecommenderExamples) -> bool:
    """Where items have content: new ones are asked of a history as a whole, and not of its end."""
    if towers.unweighted is not None:
        return towers.unweighted
    return towers.item_dim is None and len(examples.content_specs) > 1  # beside the id
