"""Users that the closed form is chosen by: what they had, what they took next, and what it is computed from.

By user: some users are left out of the matrix, and asked for the latest fifth of their history (protocol S).
By time: the matrix is of what happened up to a moment, and users are asked for what they took since (T).
Where validation users are few, training users take their place in turns: the closed form is quick to compute
without a fifth of them.

n users, k items by their places in the vocabulary; of large catalogues only the most frequent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.values import DAY_S
from training.recommender import baselines
from training.recommender.data.examples import RecommenderExamples
from training.recommender.data.interactions import Interactions
from training.recommender.data.records import Record
from training.recommender.data.splits import SplitHistories, split_histories

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

USERS = 800  # that are measured, where there are as many
ITEMS = 3_000  # whose matrix takes seconds; by 2,000 of 3,145, a power was chosen that costs the others
TRAINING_USERS = 4_000  # whose histories say what is asked for
PARTS = 5  # of the training users, for those who are left out in turns


@dataclass(frozen=True)
class Asked:
    """A measured user: items that it had, int64, how old each is, and items that it took next, int64.

    Ages count from the newest entry, in days.
    """

    history: Ints
    ages_days: npt.NDArray[np.float64]
    targets: Ints

    def at(self, place: Ints) -> Asked:
        """The same by other numbers of the items, without those whose number is negative."""
        history, targets = place[self.history], place[self.targets]
        return Asked(history[history >= 0], self.ages_days[history >= 0], targets[targets >= 0])


@dataclass(frozen=True)
class Question:
    """What a closed form is computed from, and what it is measured by.

    Attributes:
        interactions: who took what, float32 (m, k) of 0 and 1.
        texts: TF-IDF of the items' texts, float32 (k, v), if they have any.
        taken: item of each row that the closed form is computed from, int64 [r].
        days_ago: of each of these, before the last of them, float64 [r].
        late: how many users have each item in the latest fifth of their history, float32 (k,).
        users: who is measured; each with at least one target.
    """

    interactions: Floats
    texts: Floats | None
    taken: Ints
    days_ago: npt.NDArray[np.float64]
    late: Floats
    users: list[Asked]

    @property
    def histories(self) -> list[Ints]:
        """Items that each user had."""
        return [user.history for user in self.users]

    @property
    def targets(self) -> list[Ints]:
        """Items that each took next."""
        return [user.targets for user in self.users]

    def pooled(self, half_lives_days: Sequence[float]) -> Floats:
        """The users' histories, (n, k)."""
        return pooled(self.users, self.interactions.shape[1], half_lives_days)

    def recent(self, days: int) -> Floats:
        """Count the users who took each item in the last days, float32 (k,)."""
        taken = self.taken[self.days_ago <= days]
        return np.bincount(taken, minlength=self.interactions.shape[1]).astype(np.float32)


def pooled(users: Sequence[Asked], items: int, half_lives_days: Sequence[float]) -> Floats:
    """Histories as the user tower pools them (`encoders.towers.HistoryPool`): float32 (n, items)."""
    rows = np.zeros((len(users), items), dtype=np.float32)
    for row, user in zip(rows, users, strict=True):
        for half_life in half_lives_days or (np.inf,):
            weights = np.exp2(-user.ages_days / half_life)
            row[user.history] += weights / max(float(np.linalg.norm(weights)), 1e-6)
    return rows / np.float32(max(1, len(half_lives_days)))


def training_histories(examples: RecommenderExamples, half_lives_days: Sequence[float]) -> Floats:
    """Some training users' histories, pooled: (n, k)."""
    rows, log = examples.training_rows(), examples.log
    some = np.random.default_rng(0).permutation(len(rows))[:TRAINING_USERS]
    place = np.full(len(log.items), -1, dtype=np.int64)
    place[examples.known] = np.arange(len(examples.known))
    found = _asked(log, SplitHistories(some, [rows[one] for one in some], [rows[one][:0] for one in some]))
    return pooled([one.at(place) for one in found], len(examples.known), half_lives_days)


def by_users(examples: RecommenderExamples, seed: int) -> list[Question]:
    """Ask validation users and, as far as they are few, training users that are left out in turns."""
    train = examples.training_rows()
    validation = split_histories(examples.split.validation, examples.histories)
    part = max(1, len(train) // PARTS)
    turns = min(PARTS, max(0, -(-(USERS - len(validation.users)) // part)))
    if not turns:
        return [_question(examples, train, _asked(examples.log, validation))]
    order = np.random.default_rng((seed, 2)).permutation(len(train))
    questions = []
    for turn in range(turns):
        out = order[turn * part : (turn + 1) * part]
        asked = _asked(examples.log, split_histories(out, train))
        if not turn:
            asked = _asked(examples.log, validation) + asked
        kept = np.setdiff1d(np.arange(len(train)), out)
        questions.append(_question(examples, [train[one] for one in kept], asked))
    return questions


def by_time(examples: RecommenderExamples) -> Question:
    """Ask training users for what they took after the moment at 85 % of the training rows."""
    inner = examples.validation_in_time()
    held_out = inner.held_out
    asked = [
        Asked(warm, ages, held_out.candidates[targets])
        for warm, ages, targets in zip(held_out.warm, held_out.ages_days, held_out.targets, strict=True)
    ]
    return _question(examples, inner.histories, asked, inner.item_records)


def _asked(log: Interactions, found: SplitHistories) -> list[Asked]:
    return [
        Asked(
            log.item[shown], (log.time[shown].max(initial=0.0) - log.time[shown]) / DAY_S, log.item[targets]
        )
        for shown, targets in zip(found.history, found.targets, strict=True)
    ]


def _question(
    examples: RecommenderExamples,
    rows: Sequence[Ints],
    asked: Sequence[Asked],
    records: Sequence[Record] | None = None,
) -> Question:
    """Items to their places in the vocabulary; of many users some, all with something that they took next.

    Args:
        examples: of the run.
        rows: of the log, of each user that the closed form is computed from, oldest first.
        asked: the users that are measured.
        records: of the items, by default those of the examples.
    """
    log, count = examples.log, min(ITEMS, len(examples.known))
    place = np.full(len(log.items), -1, dtype=np.int64)
    place[examples.known[:count]] = np.arange(count)
    users = [one for one in (each.at(place) for each in asked) if len(one.targets)]
    if len(users) > USERS:
        users = [users[one] for one in np.sort(np.random.default_rng(0).permutation(len(users))[:USERS])]
    fitted = [one[place[log.item[one]] >= 0] for one in rows]
    together = np.concatenate(fitted)
    late = [place[log.item[one]] for one in split_histories(np.arange(len(fitted)), fitted).targets]
    texts = examples.texts(records)
    words = [texts[number] for number in examples.known[:count]]
    return Question(
        interactions=baselines.multi_hot([place[log.item[one]] for one in fitted], count),
        texts=baselines.tfidf(words) if any(words) else None,
        taken=place[log.item[together]],
        days_ago=(log.time[together].max(initial=-np.inf) - log.time[together]) / DAY_S,
        late=np.bincount(np.concatenate([together[:0], *late]), minlength=count).astype(np.float32),
        users=users,
    )
