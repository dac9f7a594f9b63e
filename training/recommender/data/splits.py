"""Who is trained on, who is measured, and on what: strong generalisation.

Users are split, not interactions: a user who is measured was never trained on, which is what a request
brings. Of such a user the earliest four fifths are the history that the encoder sees, the latest fifth
are the targets. Source: Liang et al. 2018 (Mult-VAE), arXiv 1802.05814, section 4.2, with the targets
taken by time instead of at random.

A split by time measures as deployment does instead: everybody is trained on up to a moment, and measured on
what came after. The rows of training are split by time once more, to choose what the split by user cannot
tell: what is popular now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

FOLDS = 5  # with test users of their own; as many more have the validation users
EVALUATION_SHARE = 0.1  # of the users, for validation and again for the test
HISTORY_SHARE = 0.8  # of a measured user's interactions
EARLIER_SHARE = 0.85  # of all interactions, where they are split by time


@dataclass(frozen=True)
class UserSplit:
    """User numbers, int64, disjoint and together all."""

    train: Ints
    validation: Ints
    test: Ints


@dataclass(frozen=True)
class SplitHistories:
    """Users to measure an encoder on; rows of the log, oldest first.

    Attributes:
        users: int64 [n].
        history: of each user, what the encoder sees.
        targets: of each user, what it should rank high; at least one.
    """

    users: Ints
    history: list[Ints]
    targets: list[Ints]


def split_users(count: int, seed: int, fold: int = 0, *, most: int | None = None) -> UserSplit:
    """80/10/10 % of the users, or `most` to be measured, twice; the same for the same arguments.

    The test users of all folds are in one half of the users, and the validation users of all folds in the
    other: a setting that any fold chose has seen no test user of any.
    """
    order = np.random.default_rng(seed).permutation(count)
    measured = int(EVALUATION_SHARE * count) if most is None else min(most, int(EVALUATION_SHARE * count))
    test = order[fold * measured : (fold + 1) * measured]
    validation = order[(FOLDS + fold) * measured : (FOLDS + fold + 1) * measured]
    measures = np.concatenate([test, validation])
    return UserSplit(train=order[~np.isin(order, measures)], validation=validation, test=test)


def split_histories(users: Ints, histories: Sequence[Ints]) -> SplitHistories:
    """Cut each user's history in time; users with fewer than two interactions cannot be measured.

    Args:
        users: to measure.
        histories: of every user, rows of the log, oldest first.
    """
    fit = np.array([user for user in users if len(histories[user]) >= 2], dtype=np.int64)
    cuts = [max(1, int(HISTORY_SHARE * len(histories[user]))) for user in fit]
    return SplitHistories(
        users=fit,
        history=[histories[user][:cut] for user, cut in zip(fit, cuts, strict=True)],
        targets=[histories[user][cut:] for user, cut in zip(fit, cuts, strict=True)],
    )


def divide(
    histories: Sequence[Ints], times: npt.NDArray[np.float64], moment: float
) -> tuple[list[Ints], list[Ints]]:
    """Each user's rows before a moment, and those from it on; `times` are those of all rows, unix seconds."""
    is_earlier = times < moment
    return [rows[is_earlier[rows]] for rows in histories], [rows[~is_earlier[rows]] for rows in histories]


def split_at_moment(users: Ints, earlier: Sequence[Ints], later: Sequence[Ints]) -> SplitHistories:
    """Users as they stood at a moment, and what they took since: protocol T.

    Args:
        users: to measure; those without rows on both sides cannot be.
        earlier: of every user, rows before that moment.
        later: of every user, rows from that moment on.
    """
    fit = np.array([user for user in users if len(earlier[user]) and len(later[user])], dtype=np.int64)
    return SplitHistories(fit, [earlier[user] for user in fit], [later[user] for user in fit])


def cold_items(count: int, share: float, seed: int) -> Ints:
    """Item numbers to keep out of training, sorted, so that a new item's vector can be measured."""
    return np.sort(np.random.default_rng((seed, 1)).permutation(count)[: int(share * count)])
