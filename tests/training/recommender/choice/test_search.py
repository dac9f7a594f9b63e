"""The search on logs whose right settings are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from training.recommender.baselines import multi_hot
from training.recommender.choice.questions import Asked, Question
from training.recommender.choice.search import Axis, Measure, descend, is_better, ladder
from training.recommender.encoders.structure import ClosedForm

ITEMS, GROUPS = 40, 4
METRIC = "ndcg@100"


def question(*, users: int = 120, newest_tells: bool = False, seed: int = 0) -> Question:
    """Users of a group take its items; with `newest_tells`, the last of a history is of another group.

    What they take next is of that group then, so that only recency can tell.
    """
    generator = np.random.default_rng(seed)
    group = np.arange(ITEMS) % GROUPS
    of_group = [np.flatnonzero(group == one) for one in range(GROUPS)]
    trained = [generator.choice(of_group[user % GROUPS], 6, replace=False) for user in range(users)]
    asked = []
    for user in range(users):
        now = (user + newest_tells) % GROUPS
        mine = generator.permutation(of_group[now])
        before = generator.choice(of_group[user % GROUPS], 5, replace=False)
        history = np.concatenate([before, mine[:1]]) if newest_tells else mine[:5]
        asked.append(Asked(history, np.arange(len(history))[::-1] * 10.0, mine[5:8]))
    taken = np.concatenate(trained)
    return Question(
        interactions=multi_hot(trained, ITEMS),
        texts=None,
        taken=taken,
        days_ago=np.zeros(len(taken)),
        late=np.bincount(taken, minlength=ITEMS).astype(np.float32),
        users=asked,
    )


@pytest.mark.parametrize(("newest_tells", "expected"), [(False, ()), (True, (5.0,))])
def test_recency_is_chosen_where_it_tells(newest_tells: bool, expected: tuple[float, ...]) -> None:
    axis = Axis("half_lives_days", [{"half_lives_days": one} for one in [(), (5.0,)]])

    form, tried = descend(Measure([question(newest_tells=newest_tells)], METRIC).of, ClosedForm(), [axis])

    assert form.half_lives_days == expected
    assert [one.value for one in tried if one.chosen][-1] == ("5" if newest_tells else "none")


@pytest.mark.parametrize(("best", "found"), [(1e5, 1e5), (1e-2, 1e-2), (1e30, 1e14), (0.5, 1.0)])
def test_row_goes_on_beyond_its_end_while_that_is_the_best(best: float, found: float) -> None:
    """By four values a round at most, in three rounds; no user is like another, all agree on the best."""

    def measured(form: ClosedForm) -> npt.NDArray[np.float64]:
        return -abs(np.log10(form.ease_lambda / best)) * np.linspace(1.0, 2.0, 50)

    form, tried = descend(
        measured, ClosedForm(ease_lambda=1.0), [ladder("ease_lambda", (1.0, 10.0, 100.0), 10.0)]
    )

    assert form.ease_lambda == pytest.approx(found)
    assert [one.value for one in tried if one.chosen][-1] == f"{found:g}"


def test_difference_within_its_error_changes_nothing() -> None:
    """A mean of .01 whose standard error is .1 is chance; one of .1 is not."""
    noise = np.tile([1.0, -1.0], 50)

    assert not is_better(noise + 0.01)
    assert is_better(noise + 0.1)
    assert not is_better(np.zeros(10))


def test_settings_without_effect_stay() -> None:
    axes: list[Any] = [ladder("popularity", (0.0, 0.01), 3.0), ladder("content_weight", (0.0, 3.0), 3.0)]
    form, _ = descend(Measure([question()], METRIC).of, ClosedForm(), axes)

    assert form.content_weight == 0.0  # there are no texts


def test_measured_users_are_those_of_all_questions() -> None:
    measure = Measure([question(users=40), question(users=20, seed=1)], METRIC)

    assert len(measure.of(ClosedForm())) == measure.users == 60


def test_a_frugal_row_takes_no_more_than_it_must() -> None:
    """0.04 and 0.08 are as good as each other but for chance, and both better than less and more."""
    noise = np.random.default_rng(0).normal(0, 0.1, 400)
    figures = {0.0: 0.1, 0.02: 0.15, 0.04: 0.2, 0.08: 0.2002, 0.16: 0.1}

    def measured(form: ClosedForm) -> npt.NDArray[np.float64]:
        return figures[form.recent] + noise * (1 + form.recent)

    greedy, _ = descend(measured, ClosedForm(), [Axis("recent", [{"recent": one} for one in figures])])
    frugal, _ = descend(
        measured, ClosedForm(), [Axis("recent", [{"recent": one} for one in figures], is_frugal=True)]
    )

    assert (greedy.recent, frugal.recent) == (0.08, 0.04)
