"""An interaction log, from rows of a file to arrays: who took what, first when, and what is known of both.

    rows -> those that meet `where` -> first interaction of each (user, item) pair -> k-core

Rows are read one by one and become numbers at once, so that memory holds 24 bytes for each, and 4 for each
column that a feature names, and not the file. Knows nothing of vocabularies or towers.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tabular import BadRows
from training.console import say
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.data.columns import case_twins
from training.recommender.data.lines import Columns, Log, add_bad, text_lines
from training.recommender.data.records import Gathered, Read, Records, column_of
from training.recommender.data.splits import EARLIER_SHARE
from training.recommender.data.values import checks_of, numbers_of, of_column, times_of


@dataclass(frozen=True)
class LaterPairs:
    """What happened from the moment on where a log is split in time.

    Attributes:
        moment: unix seconds.
        known: pairs of users and items that were there before it: what can be asked for.
        of_new_users, of_new_items: the other pairs; the second of known users.
    """

    moment: float
    known: int
    of_new_users: int
    of_new_items: int


@dataclass(frozen=True)
class Interactions:
    """Binary, implicit feedback: each (user, item) pair once, at its first time.

    Attributes:
        users, items: names, sorted; an index below is a position here.
        user, item: int64 [n], one row per pair, in order of time (ties by line).
        time: float64 [n], unix seconds.
        user_records, item_records: what the features are; without id and history.
        sha256: digest of the files.
        later: where the log is split in time, what is behind the moment.
    """

    users: list[str]
    items: list[str]
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    time: npt.NDArray[np.float64]
    user_records: Records
    item_records: Records
    sha256: str
    later: LaterPairs | None = None

    def histories(self) -> list[npt.NDArray[np.int64]]:
        """List each user's row numbers, oldest first."""
        order = np.argsort(self.user, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.user, minlength=len(self.users)))[:-1])


def read_interactions(
    config: InteractionsConfig, data: Path, user: Sequence[FeatureConfig], item: Sequence[FeatureConfig]
) -> Interactions:
    """Read, filter, and keep the core; of a log that is split in time the core of what was before.

    Args:
        config: where the log is and what its columns mean.
        data: what the paths are relative to.
        user: features whose columns are gathered; the history is the log itself.
        item: the same; the id is the item's name in the log.

    Raises:
        ConfigError: a file, column, condition or value cannot be used; names the key and the line.
    """
    bad = BadRows(config.bad_rows)
    read: dict[str, Read] = {"number": numbers_of, "time": partial(times_of, day_first=config.day_first)}
    of_users = Gathered([f for f in user if f.kind != "history"], read)
    of_items = Gathered([f for f in item if column_of(f) != config.item or f.kind == "text"], read)
    in_log = [part for part, file in ((of_users, config.users), (of_items, config.items)) if not file]
    rows = _read_rows(config, data / config.path, in_log, bad)
    if not len(rows.user):
        raise ConfigError(
            f"data: no row of {config.path} has a {config.user!r} and an {config.item!r}"
            + (" and meets data.where" if config.where else "")
            + f"; {bad.report()}"
        )
    pairs = _first_times(rows)
    kept, later = _kept(pairs, config)
    bad.files[0].notes += [*_twins(rows, config), *_losses(rows, pairs, kept, config.core)]
    users, user_numbers = _sorted_names(kept.users, kept.user)
    items, item_numbers = _sorted_names(kept.items, kept.item)
    of_user_file = _records(config, data, "users", gathered=of_users, names=users, bad=bad)
    of_item_file = _records(config, data, "items", gathered=of_items, names=items, bad=bad)
    say(bad.report())
    return Interactions(
        users=users,
        items=items,
        user=user_numbers,
        item=item_numbers,
        time=kept.time,
        user_records=of_user_file or of_users.by_row(kept.line),
        item_records=of_item_file or of_items.by_row(kept.line),
        sha256=digest([data / path for path in (config.path, config.users, config.items) if path]),
        later=later,
    )


def _records(
    config: InteractionsConfig,
    data: Path,
    side: Literal["users", "items"],
    *,
    gathered: Gathered,
    names: list[str],
    bad: BadRows,
) -> Records | None:
    """Read the file that a side has of its own, if it has one."""
    path = config.users if side == "users" else config.items
    if not path:
        return None
    key, column, found = f"data.{side}", (config.user if side == "users" else config.item), list[str]()
    columns = Columns.of(data / path, key, [column], gathered.features)
    checks = checks_of(gathered.features, config.day_first)
    for row, line in text_lines(data / path, columns, key, bad):
        try:
            for checked, check in checks:
                of_column(checked, check, line)
        except ValueError as error:
            add_bad(bad, row, str(error), key)
            continue
        if name := line[column]:
            found.append(name.upper() if side == "items" and config.uppercase_items else name)
            gathered.add(line, row.place)
        else:
            bad.files[-1].leave_out(f"no {column}", row.number)
    if again := len(found) - len(set(found)):
        bad.files[-1].notes.append(
            f"{again:,} rows name a {column} again: of its numbers the median counts, of other values "
            "the most frequent"
        )
    return gathered.by_name(found, names)


@dataclass(frozen=True)
class _LogRows:
    """Rows of a log: int64 [n] numbers of users and items among their names, float64 [n] unix seconds.

    `line` counts the rows that were read, int64 [n].
    """

    users: Sequence[str]
    items: Sequence[str]
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    time: npt.NDArray[np.float64]
    line: npt.NDArray[np.int64]

    def at(self, rows: npt.NDArray[Any]) -> _LogRows:
        """Choose rows, by their numbers or by True for each that is wanted."""
        return _LogRows(
            self.users, self.items, self.user[rows], self.item[rows], self.time[rows], self.line[rows]
        )


def _read_rows(config: InteractionsConfig, path: Path, in_log: Sequence[Gathered], bad: BadRows) -> _LogRows:
    """The rows that meet the conditions, as they stand in the file; `in_log` gathers their columns."""
    of_user: dict[str, int] = {}
    of_item: dict[str, int] = {}
    user_numbers, item_numbers, times = array("q"), array("q"), array("d")
    log = Log(config, path, [feature for part in in_log for feature in part.features], bad)
    for event in log:
        times.append(event.raw_time)
        user_numbers.append(of_user.setdefault(event.user, len(of_user)))
        item_numbers.append(of_item.setdefault(event.item, len(of_item)))
        for part in in_log:
            part.add(event.line, event.place)
    return _LogRows(
        list(of_user),
        list(of_item),
        np.array(user_numbers, dtype=np.int64),
        np.array(item_numbers, dtype=np.int64),
        log.seconds(np.array(times, dtype=np.float64)),
        np.arange(len(times)),
    )


def _twins(rows: _LogRows, config: InteractionsConfig) -> Iterator[str]:
    """What ids seem to be of one user or item and are taken for two, a sentence for each side."""
    for column, names, way_out in (
        (config.user, rows.users, "write each in one way if one is meant"),
        (config.item, rows.items, "data.uppercase_items = true takes them for one"),
    ):
        if count := case_twins(names):
            yield f"ids in {column}: {count:,} are another one but for the case of letters; {way_out}"


def _losses(rows: _LogRows, pairs: _LogRows, kept: _LogRows, core: int) -> list[str]:
    """What became of the rows that count, a sentence each."""

    def counts(some: _LogRows) -> tuple[int, int, int]:
        return len(np.unique(some.user)), len(np.unique(some.item)), len(some.user)

    users, items, count = counts(pairs)
    names = zip(("users", "items", "pairs"), counts(kept), (users, items, count), strict=True)
    left = ", ".join(f"{now:,} of {then:,} {name}" for name, now, then in names)
    return [
        f"{len(rows.user):,} rows are {count:,} pairs of {users:,} users and {items:,} items: "
        "of a pair the first row counts",
        f"data.core = {core} leaves {left}",
    ]


def _first_times(rows: _LogRows) -> _LogRows:
    """The first row of every pair, by time and then by place in the file."""
    by_time = rows.at(np.argsort(rows.time, kind="stable"))
    pair = by_time.user * len(rows.items) + by_time.item
    return by_time.at(np.sort(np.unique(pair, return_index=True)[1]))


def _kept(pairs: _LogRows, config: InteractionsConfig) -> tuple[_LogRows, LaterPairs | None]:
    """The core; of a log that is split in time the core of what was before, and what its users took later.

    A core of all pairs would tell at the moment which users and items come back. Raises ConfigError.
    """
    if config.protocol == "users":
        return _core(pairs, config.core), None
    moment = float(np.quantile(pairs.time, EARLIER_SHARE))
    if moment == pairs.time[0]:
        raise ConfigError('data.protocol: most of the log is of one time, so use "users" or another column')
    core, later = _core(pairs.at(pairs.time < moment), config.core), pairs.at(pairs.time >= moment)
    has_user, has_item = np.isin(later.user, core.user), np.isin(later.item, core.item)
    known = has_user & has_item
    kept = pairs.at(np.isin(pairs.line, np.concatenate([core.line, later.line[known]])))
    counts = LaterPairs(moment, int(known.sum()), int((~has_user).sum()), int((has_user & ~has_item).sum()))
    return kept, counts


def _core(pairs: _LogRows, least: int) -> _LogRows:
    """The largest part in which every user and every item has at least `least` pairs. Raises ConfigError."""
    count = len(pairs.user)
    while len(pairs.user):
        users, items = np.bincount(pairs.user), np.bincount(pairs.item)
        enough = (users[pairs.user] >= least) & (items[pairs.item] >= least)
        if enough.all():
            return pairs
        pairs = pairs.at(enough)
    raise ConfigError(f"data.core: no user and item with {least} each is left of {count} pairs; lower it")


def _sorted_names(
    names: Sequence[str], numbers: npt.NDArray[np.int64]
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The names that are used, sorted, and the numbers as positions among them."""
    used = sorted(np.unique(numbers).tolist(), key=names.__getitem__)
    position = np.zeros(len(names), dtype=np.int64)
    position[used] = np.arange(len(used))
    return [names[number] for number in used], position[numbers]


def digest(paths: Sequence[Path]) -> str:
    """Over the content of the files, one after the other."""
    found = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
