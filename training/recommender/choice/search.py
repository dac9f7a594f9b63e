"""Coordinate descent over the settings of a closed form: one after the other, each the best of a few values.

A value takes a setting only if it is better by more than half the standard error of the difference, user by
user: chance alone makes some value the best of ten. A row of numbers goes on beyond its end as long as the
end is the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from training.recommender.choice.questions import Floats, Question
from training.recommender.encoders.structure import ClosedForm, Structures, late_popularity
from training.recommender.ranking import evaluate_users

Value: TypeAlias = Mapping[str, Any]  # some settings of a closed form
Values: TypeAlias = npt.NDArray[np.float64]  # of a metric, one per measured user

Measured: TypeAlias = Callable[["ClosedForm"], Values]

FURTHER = 4  # values beyond the end of a row
ROUNDS = 3
LEAD = 0.5  # 0 would take what chance prefers, 1 loses up to an error for each of ten settings
AGAIN = 3  # values of each axis after the first round


@dataclass(frozen=True)
class Tried:
    """A candidate and its figure.

    Attributes:
        setting: what was varied, for example "ease_lambda".
        value: of it, in words.
        figure: mean of the metric over the measured users.
        chosen: whether it has the setting from then on.
    """

    setting: str
    value: str
    figure: float
    chosen: bool


class Measure:
    """A metric of closed forms, user by user, over some questions.

    Args:
        questions: at least one.
        metric: one of `ranking`'s.
    """

    def __init__(self, questions: Sequence[Question], metric: str) -> None:
        self.questions, self._metric = questions, metric
        self._structures = [Structures(one.interactions, one.texts) for one in questions]
        self._last: tuple[ClosedForm, list[Floats]] | None = None

    @property
    def users(self) -> int:
        """How many are measured."""
        return sum(len(one.users) for one in self.questions)

    def of(self, form: ClosedForm) -> Values:
        """The metric of each user."""
        rows = [
            self.of_scores(scores + beside(form, question), question)
            for scores, question in zip(self.scores(form), self.questions, strict=True)
        ]
        return np.concatenate(rows)

    def of_scores(self, scores: Floats, question: Question) -> Values:
        """The metric of scores (n, k)."""
        return evaluate_users(scores, question.histories, question.targets)[self._metric]

    def scores(self, form: ClosedForm) -> list[Floats]:
        """Scores by the structure alone, (n, k) for each question; the last ones are kept."""
        plain = replace(form, popularity=0.0, recent=0.0, recent_days=0)
        if form.itemcf == 1.0:  # one of both is not used
            plain = replace(plain, ease_lambda=1.0)
        elif form.itemcf == 0.0:
            plain = replace(plain, shrink=0.0)
        if self._last is None or self._last[0] != plain:
            found = [
                question.pooled(form.half_lives_days) @ structures.matrix(form)
                for question, structures in zip(self.questions, self._structures, strict=True)
            ]
            self._last = (plain, found)
        return self._last[1]

    def matrices(self, form: ClosedForm) -> list[Floats]:
        """The matrix of each question, (k, k)."""
        return [structures.matrix(form) for structures in self._structures]


def beside(form: ClosedForm, question: Question) -> Floats:
    """What stands beside the structure's scores: popularity, (k,)."""
    late = form.popularity * late_popularity(question.late)
    recent = form.recent * np.log1p(question.recent(form.recent_days)) if form.recent else 0.0
    return np.asarray(late + recent, dtype=np.float32)


@dataclass(frozen=True)
class Axis:
    """One coordinate.

    Attributes:
        setting: its name.
        values: to try, each some settings of the closed form.
        further: the value beyond the last (1) or before the first (-1), if the row may go on.
        is_frugal: of values that may be as good as the best, the first is taken.
    """

    setting: str
    values: Sequence[Value]
    further: Callable[[Value, int], Value] | None = None
    is_frugal: bool = False


def ladder(setting: str, values: Sequence[float], factor: float, *, is_frugal: bool = False) -> Axis:
    """Rising numbers, of which the next is `factor` times as large; a 0 among them stays the first."""

    def further(value: Value, direction: int) -> Value:
        return {setting: value[setting] * factor**direction}

    return Axis(setting, [{setting: value} for value in values], further, is_frugal)


def descend(measured: Measured, form: ClosedForm, axes: Sequence[Axis]) -> tuple[ClosedForm, list[Tried]]:
    """Improve a closed form along each axis in turn, until a round changes nothing.

    Args:
        measured: a closed form to the metric of each user, larger is better.
        form: where it begins.
        axes: the coordinates.
    """
    tried: list[Tried] = []
    for _ in range(ROUNDS):
        before, again = form, []
        for axis in axes:
            form, rows, best = _along(measured, form, axis)
            tried += rows
            again.append(replace(axis, values=best))
        if form == before:
            break
        axes = again
    return form, tried


def _along(measured: Measured, form: ClosedForm, axis: Axis) -> tuple[ClosedForm, list[Tried], list[Value]]:
    """Take the best value of one axis; list them all, and those that are worth another round."""
    now = measured(form)
    found = [(value, _values(measured, form, value, now)) for value in axis.values]
    for _ in range(FURTHER):
        if (beyond := _beyond(axis, found)) is None:
            break
        place, value = beyond
        found.insert(place, (value, _values(measured, form, value, now)))
    value, values = max(found, key=lambda one: one[1].mean())
    if axis.is_frugal:
        value, values = next(one for one in found if not is_better(values - one[1]))
    chosen = replace(form, **value) if is_better(values - now) else form
    rows = [
        Tried(axis.setting, words_of(one), float(of.mean()), replace(form, **one) == chosen)
        for one, of in found
    ]
    by_figure = sorted(found, key=lambda one: -one[1].mean())[:AGAIN]
    best = [one for one, _ in found if any(one is other for other, _ in by_figure)]
    return chosen, rows, best


def _beyond(axis: Axis, found: Sequence[tuple[Value, Values]]) -> tuple[int, Value] | None:
    """The next value where the row ends in its best one, and its place in the row."""
    figures = [values.mean() for _, values in found]
    if axis.further is None or max(figures) == min(figures):  # the setting says nothing beside the others
        return None
    if figures[-1] == max(figures):
        return len(found), axis.further(found[-1][0], 1)
    before = axis.further(found[0][0], -1)
    return (0, before) if figures[0] == max(figures) and before != found[0][0] else None


def _values(measured: Measured, form: ClosedForm, value: Value, now: Values) -> Values:
    candidate = replace(form, **value)
    return now if candidate == form else measured(candidate)


def is_better(differences: Values) -> bool:
    """Whether the mean of paired differences is above LEAD of its standard error."""
    return float(differences.mean()) > LEAD * float(differences.std()) / math.sqrt(len(differences))


def words_of(value: Value) -> str:
    """A value as it is printed."""
    return ", ".join(_word(one) for one in value.values())


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return " + ".join(f"{one:g}" for one in value) or "none"
    return f"{value:g}"
