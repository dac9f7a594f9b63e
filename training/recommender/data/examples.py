"""From an interaction log to what a caller would send: the users and items that are trained and measured.

    log -> split -> known items -> fitted schemas -> the bundle's own preprocessing

Items are numbered in two ways: by their position in the log's list of all items, and, the known ones, by
their position in the vocabulary, which is what the towers see (`known[position]` is the item's number).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.preprocess import Prepared
from bundle.preprocess.features import FeaturePreprocessor, Features
from bundle.preprocess.features.schema import ENTRY_FIELDS
from bundle.preprocess.features.words import words
from bundle.values import DAY_S
from training.errors import ConfigError
from training.recommender.data.features import fit_schema
from training.recommender.data.interactions import column_of, read_interactions
from training.recommender.data.splits import (
    EARLIER_SHARE,
    SplitHistories,
    UserSplit,
    cold_items,
    split_at_moment,
    split_histories,
    split_users,
)
from training.recommender.settings import RecommenderRun

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationSplit:
    """A question with a known answer: users as a caller sends them, and which items they took.

    Attributes:
        users: inputs of the user tower.
        candidates: numbers of the items that are ranked.
        history: per user, positions among the candidates that are not ranked again.
        targets: per user, positions among the candidates; at least one.
        warm: per user, numbers of the history's items, for baselines that read no features.
        ages_days: per user, how long before its newest event each of them was.
    """

    users: list[Features]
    candidates: Ints
    history: list[Ints]
    targets: list[Ints]
    warm: list[Ints]
    ages_days: list[npt.NDArray[np.float64]]


class RecommenderExamples:
    """Everything that a recommender run knows of its data.

    Args:
        run: the config.
        data: the directory that its paths are relative to.

    Raises:
        ConfigError: the declared features do not fit together, or the log cannot be used.
    """

    def __init__(self, run: RecommenderRun, data: Path) -> None:
        self.id_name, self.history_name = _names(run)
        self.log = read_interactions(run.data, data, run.user, run.item)
        self._histories, self._later = self._by_time(run.data.protocol)
        self.now = float(self.log.time[np.concatenate(self._histories)].max())
        self.split = split_users(
            len(self.log.users), run.data.split_seed, run.data.fold, most=run.data.evaluation_users
        )
        if self._later:
            self.split = self._everybody(self.split)
        if not (len(self.split.test) and len(self.split.train)):
            raise ConfigError(f"data: {len(self.log.users)} users are too few to split; 10 are the least")
        self.cold = cold_items(len(self.log.items), run.data.cold_items, run.data.split_seed)
        self.known = self._known()
        names = [self.log.items[number] for number in self.known]
        self.item_schema = fit_schema(
            "item",
            run.item,
            [self.log.item_records[number] for number in self.known],
            items=names,
            id_name=self.id_name,
            now=self.now,
        )
        self.user_schema = fit_schema(
            "user",
            run.user,
            [self.log.user_records[user] for user in self.split.train],
            items=names,
            content=[spec for spec in self.item_schema.features if spec.name != self.id_name],
            now=self.now,
        )
        self.users = FeaturePreprocessor(self.user_schema)
        self.items = FeaturePreprocessor(self.item_schema)

    def _by_time(self, protocol: str) -> tuple[list[Ints], list[Ints]]:
        """Divide every user's rows: those that training may see, and, if time is split, the later ones."""
        histories = self.log.histories()
        if protocol == "users":
            return histories, []
        moment = np.quantile(self.log.time, EARLIER_SHARE)
        is_later = self.log.time >= moment
        return [rows[~is_later[rows]] for rows in histories], [rows[is_later[rows]] for rows in histories]

    def _everybody(self, split: UserSplit) -> UserSplit:
        """Train on everybody but the validation users, measure everybody; of those who were there by then."""
        there = np.array([len(rows) > 0 for rows in self._histories])
        train = np.concatenate([split.train, split.test])
        return UserSplit(
            train=train[there[train]],
            validation=split.validation[there[split.validation]],
            test=np.flatnonzero(there),
        )

    def _known(self) -> Ints:
        """Items that a training user took, the most frequent first, ties by name."""
        rows = np.concatenate([self._histories[user] for user in self.split.train])
        counts = np.bincount(self.log.item[rows], minlength=len(self.log.items))
        counts[self.cold] = 0
        order = np.argsort(-counts, kind="stable")  # items are sorted by name
        return order[counts[order] > 0]

    def item_input(self, number: int) -> Features:
        """An item as its owner's catalogue would send it."""
        return Features({self.id_name: self.log.items[number]} | self.log.item_records[number], self.now)

    def user_input(self, user: int, rows: Ints) -> Features:
        """A user with the history that these rows of the log make, newest first."""
        history = [
            {"id": self.log.items[self.log.item[row]], "time": float(self.log.time[row])}
            for row in rows[::-1]
        ]
        return Features({self.history_name: history} | self.log.user_records[user], self.now)

    def training(self, positions: Ints) -> list[Prepared]:
        """Prepare some training users, by their positions in the split, with all their history.

        They are prepared when a step wants them: all of them at once would be most of a large run's memory.
        """
        users = self.split.train[positions]
        inputs = [self.user_input(int(user), self._histories[user]) for user in users]
        return self.users.prepare(inputs, "end")

    def training_items(self) -> list[Ints]:
        """Every training user's known items, as positions in the vocabulary."""
        position = np.full(len(self.log.items), -1, dtype=np.int64)
        position[self.known] = np.arange(len(self.known))
        found = [position[self.log.item[self._histories[user]]] for user in self.split.train]
        return [items[items >= 0] for items in found]

    def training_lately(self) -> npt.NDArray[np.float32]:
        """Count the training users that have each known item in the latest fifth of their history."""
        found = split_histories(self.split.train, self._histories)
        counts = np.bincount(
            self.log.item[np.concatenate([found.users[:0], *found.targets])], minlength=len(self.log.items)
        )
        return counts[self.known].astype(np.float32)

    def validation(self) -> EvaluationSplit:
        """Users to choose settings by."""
        return self._new_users(split_histories(self.split.validation, self._histories))

    def test(self) -> EvaluationSplit:
        """Users to report."""
        if self._later:
            return self._new_users(split_at_moment(self.split.test, self._histories, self._later))
        return self._new_users(split_histories(self.split.test, self._histories))

    def _new_users(self, found: SplitHistories) -> EvaluationSplit:
        """New users, ranked over all items but the cold ones: protocol S."""
        candidates = np.setdiff1d(np.arange(len(self.log.items)), self.cold)
        return self._split_of(found.users, found.history, found.history, found.targets, candidates)

    def new_items(self, users: Ints | None = None) -> EvaluationSplit:
        """Users' (by default test users') interest in cold items, ranked among these alone: protocol C.

        The history is all a user took besides.
        """
        users = self.split.test if users is None else users
        rows = [self._histories[user] for user in users]
        nothing = [row[:0] for row in rows]
        return self._split_of(users, rows, nothing, rows, self.cold)

    def _split_of(
        self,
        users: Ints,
        shown: Sequence[Ints],
        masked: Sequence[Ints],
        targets: Sequence[Ints],
        candidates: Ints,
    ) -> EvaluationSplit:
        """Rows of the log to positions among the candidates; users without a target are left out."""
        position = np.full(len(self.log.items), -1, dtype=np.int64)
        position[candidates] = np.arange(len(candidates))

        def among(rows: Ints) -> Ints:
            found = position[self.log.item[rows]]
            return found[found >= 0]

        kept = [index for index, rows in enumerate(targets) if len(among(rows))]
        is_cold = np.isin(self.log.item, self.cold)
        warm = [shown[index][~is_cold[shown[index]]] for index in kept]
        return EvaluationSplit(
            users=[self.user_input(int(users[index]), shown[index]) for index in kept],
            candidates=candidates,
            history=[among(masked[index]) for index in kept],
            targets=[among(targets[index]) for index in kept],
            warm=[self.log.item[rows] for rows in warm],
            ages_days=[(self.log.time[rows].max(initial=0.0) - self.log.time[rows]) / DAY_S for rows in warm],
        )

    def texts(self) -> list[list[str]]:
        """The words of each item's text features, for TF-IDF."""
        names = [spec.name for spec in self.item_schema.features if spec.kind == "text"]
        return [words(" ".join(record.get(name, "") for name in names)) for record in self.log.item_records]


def _names(run: RecommenderRun) -> tuple[str, str]:
    """The names of the item's id feature and of the user's history. Raises ConfigError."""
    ids = [feature for feature in run.item if column_of(feature) == run.data.item]
    if len(ids) != 1 or ids[0].kind != "category":
        raise ConfigError(
            f"item: exactly one feature of kind category must have column {run.data.item!r}, the id"
        )
    if ids[0].changed(("min_count", "max_size")):
        raise ConfigError(f"item: {ids[0].name!r} is the id; which ids are known is up to data.core")
    if any(feature.kind == "history" for feature in run.item):
        raise ConfigError("item: a history belongs to the user side; move it there")
    for feature in run.item:
        if feature.name in ENTRY_FIELDS and feature is not ids[0]:
            raise ConfigError(
                f"item: {feature.name!r} means something else in a history; give the feature another name, "
                f"with column = {column_of(feature)!r}"
            )
    histories = [feature.name for feature in run.user if feature.kind == "history"]
    if len(histories) != 1:
        raise ConfigError(
            f"user: exactly one feature of kind history is needed, {len(histories)} are declared"
        )
    return ids[0].name, histories[0]
