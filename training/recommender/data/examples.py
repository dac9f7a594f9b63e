"""From an interaction log to what a caller would send: the users and items that are trained and measured.

    log -> split -> known items -> fitted schemas -> the bundle's own preprocessing

Items are numbered in two ways: by their position in the log's list of all items, and, the known ones, by
their position in the vocabulary, which is what the towers see (`known[position]` is the item's number).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.preprocess import Prepared
from bundle.preprocess.features import FeaturePreprocessor, Features
from bundle.preprocess.features.words import distinct_prefixes, words
from training.errors import ConfigError
from training.recommender.data.features import fit_schema, key_features
from training.recommender.data.held_out import (
    EvaluationSplit,
    InnerSplit,
    evaluation_split,
    introductions,
    item_records,
)
from training.recommender.data.interactions import read_interactions
from training.recommender.data.recent import recent_users, with_recent
from training.recommender.data.records import Record
from training.recommender.data.splits import (
    EARLIER_SHARE,
    SplitHistories,
    UserSplit,
    cold_items,
    divide,
    split_at_moment,
    split_histories,
    split_users,
)
from training.recommender.settings import RecommenderRun

Ints = npt.NDArray[np.int64]

NEW_ITEMS_SHARE = 0.1  # of the known items, to choose by how new ones are ranked


class RecommenderExamples:
    """Everything that a recommender run knows of its data.

    Args:
        run: the config.
        data: the directory that its paths are relative to.

    Attributes:
        item_records: of every item, as told by the rows that training or a measured user's history has.

    Raises:
        ConfigError: the declared features do not fit together, or the log cannot be used.
    """

    def __init__(self, run: RecommenderRun, data: Path) -> None:
        self.id_name, self.history_name = key_features(run)
        self._recent = run.towers.recent
        self.log = read_interactions(run.data, data, run.user, run.item)
        self._histories, self._later = self._by_time()
        self.now = float(self.log.time[np.concatenate(self._histories)].max())
        self.split = split_users(
            len(self.log.users), run.data.split_seed, run.data.fold, most=run.data.evaluation_users
        )
        if self._later:
            self.split = self._everybody(self.split)
        if not (len(self.split.test) and len(self.split.train)):
            raise ConfigError(f"data: {len(self.log.users)} users are too few to split; 10 are the least")
        self._seed = run.data.split_seed
        self.cold = cold_items(len(self.log.items), run.data.cold_items, self._seed)
        self.known = self._known()
        self._training_rows = self._rows_of_known()
        self.item_records = self._catalogue(self._seen(), self.cold)
        names = [self.log.items[number] for number in self.known]
        self.item_schema = fit_schema(
            "item",
            run.item,
            [self.item_records[number] for number in self.known],
            items=names,
            id_name=self.id_name,
            uppercase_items=run.data.uppercase_items,
            now=self.now,
        )
        self.content_specs = self.item_schema.features
        self.item_schema = with_recent(self.item_schema, run.towers.recent)
        self.user_schema = fit_schema(
            "user",
            run.user,
            [self.log.user_records.of(int(user), self._histories[user]) for user in self.split.train],
            items=names,
            content=[spec for spec in self.content_specs if spec.name != self.id_name],
            uppercase_items=run.data.uppercase_items,
            now=self.now,
        )
        self.users = FeaturePreprocessor(self.user_schema)
        self.items = FeaturePreprocessor(self.item_schema)

    def _by_time(self) -> tuple[list[Ints], list[Ints]]:
        """Divide every user's rows: those that training may see, and, if time is split, the later ones."""
        histories = self.log.histories()
        if self.log.later is None:
            return histories, []
        return divide(histories, self.log.time, self.log.later.moment)

    def _everybody(self, split: UserSplit) -> UserSplit:
        """Train on everybody but the validation users, and measure everybody."""
        return UserSplit(
            train=np.concatenate([split.train, split.test]),
            validation=split.validation,
            test=np.arange(len(self.log.users)),
        )

    def _known(self) -> Ints:
        """Items that a training user took, the most frequent first, ties by name."""
        rows = np.concatenate([self._histories[user] for user in self.split.train])
        counts = np.bincount(self.log.item[rows], minlength=len(self.log.items))
        counts[self.cold] = 0
        order = np.argsort(-counts, kind="stable")  # items are sorted by name
        return order[counts[order] > 0]

    def _rows_of_known(self) -> list[Ints]:
        is_known = np.zeros(len(self.log.items), dtype=np.bool_)
        is_known[self.known] = True
        histories = [self._histories[user] for user in self.split.train]
        return [rows[is_known[self.log.item[rows]]] for rows in histories]

    def _seen(self) -> Ints:
        """Rows of the training users, and those that are shown of whoever is measured."""
        measured = [self.split.validation] if self._later else [self.split.validation, self.split.test]
        shown = split_histories(np.concatenate(measured), self._histories).history
        return np.concatenate([*(self._histories[user] for user in self.split.train), *shown])

    def _catalogue(self, seen: Ints, cold: Ints) -> list[Record]:
        return item_records(self.log, seen, introductions(self.log, self._histories, cold), cold)

    def item_input(self, number: int) -> Features:
        """An item as its owner's catalogue would send it."""
        return Features({self.id_name: self.log.items[number]} | self.item_records[number], self.now)

    def candidates(self, held_out: EvaluationSplit) -> list[Features]:
        """The items that are ranked; to users who each stand at a moment of their own none is popular now."""
        inputs = [self.item_input(int(number)) for number in held_out.candidates]
        if self._recent is None or held_out.at_one_moment:
            return inputs
        return [Features({**one.values, self._recent.name: 0}, one.now) for one in inputs]

    def recent_users(self, days: int) -> npt.NDArray[np.float32]:
        """Count the training users who took each known item in the last days, float32 (k,)."""
        rows = np.concatenate(self._training_rows)
        return recent_users(self.log, rows, now=self.now, days=days)[self.known]

    def user_input(self, user: int, rows: Ints, now: float | None = None) -> Features:
        """A user as these rows of the log tell of it: the history, newest first, and the features."""
        history = [
            {"id": self.log.items[self.log.item[row]], "time": float(self.log.time[row])}
            for row in rows[::-1]
        ]
        record = self.log.user_records.of(user, rows)
        return Features({self.history_name: history} | record, self.now if now is None else now)

    def training(self, positions: Ints) -> list[Prepared]:
        """Prepare some training users, by their positions in the split, with all their history.

        They are prepared when a step wants them: all of them at once would be most of a large run's memory.
        """
        inputs = [
            self.user_input(int(self.split.train[position]), self._training_rows[position])
            for position in positions
        ]
        return self.users.prepare(inputs, "end")

    def training_records(self, positions: Ints, hidden: npt.NDArray[np.bool_]) -> list[Prepared]:
        """Prepare the features alone of some training users, as told by what is not hidden of them.

        Args:
            positions: in the split, [n].
            hidden: which entries of the histories that `training` prepares are targets, bool [n, h].
        """
        inputs = []
        for position, targets in zip(positions, hidden, strict=True):
            newest_first = self._training_rows[position][::-1]
            is_shown = np.ones(len(newest_first), dtype=np.bool_)
            is_shown[: len(targets)] = ~targets[: len(is_shown)]
            user, rows = int(self.split.train[position]), newest_first[is_shown]
            inputs.append(Features(self.log.user_records.of(user, rows), self.now))
        return self.users.prepare(inputs, "end")

    @property
    def histories(self) -> list[Ints]:
        """Every user's rows of the log that training may see, oldest first."""
        return self._histories

    def training_rows(self) -> list[Ints]:
        """Every training user's rows of known items, oldest first."""
        return self._training_rows

    def training_items(self) -> list[Ints]:
        """Every training user's known items, as positions in the vocabulary."""
        position = np.full(len(self.log.items), -1, dtype=np.int64)
        position[self.known] = np.arange(len(self.known))
        return [position[self.log.item[rows]] for rows in self._training_rows]

    def training_beginnings(self, most: int) -> tuple[list[Features], list[Ints]]:
        """Up to `most` training users as they were after their first row, and what they took since.

        So a feature that is made of the log is not made of what is to be told from it. Later rows would
        not do: users who have what everybody of their kind takes first do not take it again.

        Returns:
            Inputs of the user tower, and positions of known items in the vocabulary.
        """
        position = np.full(len(self.log.items), -1, dtype=np.int64)
        position[self.known] = np.arange(len(self.known))
        users = [int(user) for user in self.split.train[:most]]
        rows = [self._histories[user] for user in users]
        since = [position[self.log.item[one[1:]]] for one in rows]
        inputs = [self.user_input(user, one[:1]) for user, one in zip(users, rows, strict=True)]
        return inputs, [items[items >= 0] for items in since]

    def training_lately(self) -> npt.NDArray[np.float32]:
        """Count the training users that have each known item in the latest fifth of their history."""
        found = split_histories(self.split.train, self._histories)
        counts = np.bincount(
            self.log.item[np.concatenate([found.users[:0], *found.targets])], minlength=len(self.log.items)
        )
        return counts[self.known].astype(np.float32)

    def validation(self) -> EvaluationSplit:
        """Users to choose settings by."""
        return self._new_users(self.split.validation)

    def validation_in_time(self) -> InnerSplit:
        """Training users at the moment when 85 % of the training rows had happened, and what they took since.

        Validation users are cut each at a time of its own, so they cannot tell what recency and popularity of
        the last days are worth at one moment; these can. Known users are asked for, as in protocol T. Users
        with rows on one side only are left out, and so are targets that nobody had taken before the moment.
        Choose by this what is fitted to `histories` alone: the run's encoders are trained on these targets.
        """
        rows = np.concatenate(self._training_rows)
        moment = float(np.quantile(self.log.time[rows], EARLIER_SHARE))
        earlier, later = divide(self._training_rows, self.log.time, moment)
        seen = np.concatenate(earlier)
        found = split_at_moment(np.arange(len(earlier)), earlier, later)
        users = SplitHistories(self.split.train[found.users], found.history, found.targets)
        candidates = np.unique(self.log.item[seen])
        now = float(self.log.time[seen].max(initial=-np.inf)) if len(seen) else moment
        held_out = self._measured(users, candidates, asked=self.split.train, now=now)
        return InnerSplit(earlier, held_out, self._catalogue(seen, self.cold), now)

    def validation_of_new_items(self, share: float = NEW_ITEMS_SHARE) -> InnerSplit:
        """Validation users' interest in known items that are kept out of `histories`, among these alone.

        They are other items than protocol C asks for, and so are the users.
        """
        drawn = self.known[cold_items(len(self.known), share, self._seed + 1)]
        drawn, cold = np.sort(drawn), np.union1d(drawn, self.cold)
        histories = [rows[~np.isin(self.log.item[rows], drawn)] for rows in self._training_rows]
        held_out = self._interest(self.split.validation, drawn, cold)
        return InnerSplit(histories, held_out, self._catalogue(self._seen(), cold), self.now)

    def test(self) -> EvaluationSplit:
        """Users to report."""
        if not self._later:
            return self._new_users(self.split.test)
        found = split_at_moment(self.split.test, self._histories, self._later)
        return replace(self._measured(found, self._warm(), asked=self.split.test), at_one_moment=True)

    def new_items(self, users: Ints | None = None) -> EvaluationSplit:
        """Users' (by default test users') interest in cold items, ranked among these alone: protocol C.

        The history is all a user took besides.
        """
        return self._interest(self.split.test if users is None else users, self.cold, self.cold)

    def _new_users(self, users: Ints) -> EvaluationSplit:
        """New users, ranked over all items but the cold ones: protocol S."""
        return self._measured(split_histories(users, self._histories), self._warm(), asked=users)

    def _warm(self) -> Ints:
        return np.setdiff1d(np.arange(len(self.log.items)), self.cold)

    def _interest(self, users: Ints, asked: Ints, cold: Ints) -> EvaluationSplit:
        """What users took of the items that are asked for, by what they took of those that are not cold."""
        told = introductions(self.log, self._histories, cold)
        rows = [self._histories[user] for user in users]
        shown = [row[~np.isin(self.log.item[row], cold)] for row in rows]
        targets = [row[np.isin(self.log.item[row], asked) & ~np.isin(row, told)] for row in rows]
        return self._measured(SplitHistories(users, shown, targets), asked, asked=users)

    def _measured(
        self, found: SplitHistories, candidates: Ints, *, asked: Ints, now: float | None = None
    ) -> EvaluationSplit:
        send = partial(self.user_input, now=now)
        return evaluation_split(self.log, found, candidates, cold=self.cold, asked=len(asked), send=send)

    def texts(self, records: Sequence[Record] | None = None) -> list[list[str]]:
        """The words of each item's text features, and their beginnings, for TF-IDF; of `item_records`."""
        specs = [spec for spec in self.item_schema.features if spec.kind == "text"]
        records = self.item_records if records is None else records
        texts = [[(spec, words(record.get(spec.name, ""))) for spec in specs] for record in records]
        return [
            [term for spec, read in fields for term in (*read, *distinct_prefixes(read, spec.prefixes))]
            for fields in texts
        ]
