"""Questions with known answers: users as a caller sends them, and which items they took.

What is shown of a user makes its features as well as its history; what is asked for makes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.preprocess.features import Features
from bundle.values import DAY_S
from training.recommender.data.interactions import Interactions
from training.recommender.data.records import Record
from training.recommender.data.splits import SplitHistories

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationSplit:
    """Who is measured, and on what. n users, k candidates.

    Attributes:
        numbers: of the users in the log, int64 [n].
        users: inputs of the user tower, of what is shown of each user alone.
        candidates: numbers of the items that are ranked, int64 [k].
        history: per user, positions among the candidates that are not ranked again.
        targets: per user, positions among the candidates; at least one.
        warm: per user, numbers of the history's items, for baselines that read no features.
        ages_days: per user, how long before its newest event each of them was.
        left_out: how many users would have been measured, but took none of the candidates.
        at_one_moment: whether all stand at the moment that training ended at: then something is popular now.
    """

    numbers: Ints
    users: list[Features]
    candidates: Ints
    history: list[Ints]
    targets: list[Ints]
    warm: list[Ints]
    ages_days: list[npt.NDArray[np.float64]]
    left_out: int = 0
    at_one_moment: bool = False


@dataclass(frozen=True)
class InnerSplit:
    """A split of the training rows themselves: what is fitted to the one part is measured on the other.

    Attributes:
        histories: per training user, rows of the log to fit to, oldest first; may be none.
        held_out: what to choose by; without users where there is nothing to choose by.
        item_records: of all items, as these rows tell them.
        now: the moment that the fitted part ends at, unix seconds.
    """

    histories: list[Ints]
    held_out: EvaluationSplit
    item_records: list[Record]
    now: float


def evaluation_split(
    log: Interactions,
    found: SplitHistories,
    candidates: Ints,
    *,
    cold: Ints,
    asked: int,
    send: Callable[[int, Ints], Features],
) -> EvaluationSplit:
    """Rows of the log to positions among the candidates; users without a target are left out.

    Args:
        log: whose rows they are.
        found: users, what is shown of them and what they took.
        candidates: numbers of the items that are ranked.
        cold: numbers of the items that baselines do not know either.
        asked: how many users there were, for the count of those left out.
        send: makes the tower's input of a user and of the rows that are shown.
    """
    position = np.full(len(log.items), -1, dtype=np.int64)
    position[candidates] = np.arange(len(candidates))
    is_cold = np.zeros(len(log.items), dtype=np.bool_)
    is_cold[cold] = True

    def among(rows: Ints) -> Ints:
        places = position[log.item[rows]]
        return places[places >= 0]

    kept = [index for index, rows in enumerate(found.targets) if len(among(rows))]
    warm = [rows[~is_cold[log.item[rows]]] for rows in (found.history[index] for index in kept)]
    return EvaluationSplit(
        numbers=found.users[kept],
        users=[send(int(found.users[index]), found.history[index]) for index in kept],
        candidates=candidates,
        history=[among(found.history[index]) for index in kept],
        targets=[among(found.targets[index]) for index in kept],
        warm=[log.item[rows] for rows in warm],
        ages_days=[(log.time[rows].max(initial=0.0) - log.time[rows]) / DAY_S for rows in warm],
        left_out=asked - len(kept),
    )


def introductions(log: Interactions, histories: Sequence[Ints], cold: Ints) -> Ints:
    """The rows that tell what cold items are, their first ones; they cannot be targets as well."""
    rows = np.sort(np.concatenate(histories))
    return log.item_records.first_rows(log.item, rows[np.isin(log.item[rows], cold)])


def item_records(log: Interactions, seen: Ints, told: Ints, cold: Ints) -> list[Record]:
    """Every item's record: of the rows that were seen, but of a cold item of those that introduce it.

    Nobody has taken a new item yet, so what its buyers' rows say of it cannot be known.
    """
    rows = np.concatenate([seen[~np.isin(log.item[seen], cold)], told])
    return log.item_records.of_each(log.item, rows, len(log.items))
