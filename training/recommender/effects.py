"""What each declared feature changes: it is hidden, and the rankings before and after are compared.

    validation users -> vectors with a feature, and without it -> metric lost, titles changed of twenty

Users are asked about twice: as they are, and as new ones, without a history. Of features that say the same
none is missed, so what each alone changes is told as well. An item that training knows by its id is what
training knew of it, whatever is sent; so a feature of items is measured on items without ids.

Source: hiding one input at a time, as permutation importance does: Breiman 2001, Random Forests, section 10.

n users, k candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.inputs import Input
from bundle.manifest import Metric
from bundle.preprocess.features import Features
from training.metrics import MetricValue
from training.recommender.ranking import Floats, Ints, evaluate_users, rank

TOP = 20
MOST_USERS = 500  # that are asked
NOTHING = 0.05  # of TOP titles, on average: fewer are not called a change
MOST_SHARE = 0.5  # of the metric, that a history should not leave to one feature

Encode = Callable[[Sequence[Input]], Floats]


@dataclass(frozen=True)
class ValidationUsers:
    """Validation users, and what they took among the candidates: `EvaluationSplit`, as far as it is needed.

    Attributes:
        users: inputs of the user tower.
        items: the candidates' inputs.
        history: of each user, positions among the candidates that are not ranked again.
        targets: of each user, positions among the candidates.
    """

    users: Sequence[Features]
    items: Sequence[Features]
    history: Sequence[Ints]
    targets: Sequence[Ints]

    def of(self, count: int) -> ValidationUsers:
        """The first users."""
        return ValidationUsers(self.users[:count], self.items, self.history[:count], self.targets[:count])


@dataclass(frozen=True)
class Effect:
    """What hiding a feature does.

    Attributes:
        feature: its name.
        lost: of the metric, of users with a history; below 0 where it is better without.
        share: the same of what the metric was.
        known, new: how many of TOP titles are others, on average: of users with a history, and without.
        alone: how many are others where nothing but the feature is told, in place of nothing.
    """

    feature: str
    lost: MetricValue
    share: float
    known: float
    new: float
    alone: float

    @property
    def is_nothing(self) -> bool:
        """Whether nobody is shown anything else."""
        return max(self.known, self.new, self.alone) < NOTHING


def effects(
    asked: ValidationUsers,
    encode: tuple[Encode, Encode],
    features: tuple[Sequence[str], Sequence[str]],
    *,
    history_name: str,
    id_name: str,
    metric: str,
) -> list[Effect]:
    """Hide each feature in turn.

    Args:
        asked: whose rankings are compared.
        encode: users, items.
        features: names of either side's, without history and id.
        history_name: of the user feature that is left out of new users.
        id_name: of the item feature that is left out where an item feature is hidden.
        metric: of `ranking`.
    """
    asked = asked.of(MOST_USERS)
    of_users, of_items = encode
    known, new = asked.users, hidden(asked.users, history_name)
    items = of_items(asked.items)
    whole = _Rankings(asked, (of_users(known), of_users(new)), items, metric)
    found = []
    for name in features[0]:
        users = (of_users(hidden(known, name)), of_users(hidden(new, name)))
        alone = _changed(whole.of(of_users(only(new, name)), items), whole.of(of_users(only(new)), items))
        found.append(whole.against(name, _Rankings(asked, users, items, metric), alone))
    nameless = hidden(asked.items, id_name)
    if features[1]:
        whole = _Rankings(asked, whole.users, of_items(nameless), metric)
    for name in features[1]:
        without = _Rankings(asked, whole.users, of_items(hidden(nameless, name)), metric)
        told = [whole.of(whole.users[0], of_items(only(nameless, *one))) for one in ([name], [])]
        found.append(whole.against(name, without, _changed(*told)))
    return found


def hidden(inputs: Sequence[Features], name: str) -> list[Features]:
    """The same inputs without one feature."""
    return [
        Features({key: value for key, value in one.values.items() if key != name}, one.now) for one in inputs
    ]


def only(inputs: Sequence[Features], *names: str) -> list[Features]:
    """The same inputs with these features at most."""
    return [
        Features({key: value for key, value in one.values.items() if key in names}, one.now) for one in inputs
    ]


class _Rankings:
    """The best items of known and of new users.

    Args:
        asked: whose users they are.
        users: vectors (n, d) of them as they are, and without a history.
        items: vectors (k, d).
        metric: of `ranking`.
    """

    def __init__(
        self, asked: ValidationUsers, users: tuple[Floats, Floats], items: Floats, metric: str
    ) -> None:
        self.users = users
        self.nothing = [one[:0] for one in asked.history]
        scores = users[0] @ items.T
        self.values: npt.NDArray[np.float64] = evaluate_users(scores, asked.history, asked.targets)[metric]
        self.known = rank(scores, asked.history, TOP)
        self.new = self.of(users[1], items)

    def of(self, users: Floats, items: Floats) -> Ints:
        """The best items of users (n, d) who have none, (n, TOP)."""
        return rank(users @ items.T, self.nothing, TOP)

    def against(self, feature: str, other: _Rankings, alone: float) -> Effect:
        """What the other, without the feature, has lost and changed."""
        lost = MetricValue.of(self.values - other.values)
        share = lost.mean / max(float(self.values.mean()), 1e-9)
        changed = (_changed(self.known, other.known), _changed(self.new, other.new))
        return Effect(feature, lost, share, *changed, alone)


def _changed(best: Ints, other: Ints) -> float:
    """How many of the titles (n, TOP) are not among the others, on average."""
    return float(np.mean([len(np.setdiff1d(a, b)) for a, b in zip(best, other, strict=True)]))


def as_metrics(found: Sequence[Effect], metric: str) -> dict[str, Metric]:
    """Rows of the table of metrics: one feature, three figures."""
    rows = {}
    for one in found:
        rows[f"{one.feature} hidden: {metric} lost"] = one.lost.mean
        rows[f"{one.feature} hidden: titles changed of {TOP}"] = one.known
        rows[f"{one.feature} hidden: titles changed of {TOP}, new users"] = one.new
    return {name: Metric(value=value) for name, value in rows.items()}


def sentences(found: Sequence[Effect], metric: str) -> list[str]:
    """What each feature changes, and a word about those that change nothing, or say more than a history."""
    lines = [
        f"{one.feature}: hiding it changes {one.new:.1f} of {TOP} titles of a new user, {one.known:.1f} of a "
        f"known one, {metric} {-one.lost.mean:+.4f} ± {one.lost.standard_error:.4f}; alone it changes "
        f"{one.alone:.1f}"
        for one in found
    ]
    silent = [one.feature for one in found if one.is_nothing]
    if silent:
        lines.append(
            f"declared but without effect: {', '.join(silent)}; leave them out, or check that their columns "
            "hold what callers will send"
        )
    lines += [
        f"{one.feature}: {one.share:.0%} of {metric} hangs on it, though histories are known. Make sure that "
        "it was known before what is predicted: a column made of the whole log tells the answers"
        for one in found
        if one.share > MOST_SHARE
    ]
    return lines
