"""An interaction log, from rows of a file to arrays: who took what, first when, and what is known of both.

    rows -> those that meet `where` -> first interaction of each (user, item) pair -> k-core

Rows are read one by one and become numbers at once, so that memory holds 24 bytes for each, and 4 for each
column that a feature names, and not the file. Knows nothing of vocabularies or towers.
"""

from __future__ import annotations

import hashlib
import operator
import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.preprocess.features.vocabulary import normal
from training.data.tables import BadRows, good_rows, text_of_row
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.data.records import Gathered, Records, column_of
from training.recommender.data.splits import EARLIER_SHARE

Line: TypeAlias = Mapping[str, str]

_CONDITION = re.compile(r"(\S+) (>=|<=|>|<|==|!=|~|!~) ?(.*)")
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


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
    of_users = Gathered([f for f in user if f.kind != "history"], _READ)
    of_items = Gathered([f for f in item if column_of(f) != config.item], _READ)
    in_log = [part for part, file in ((of_users, config.users), (of_items, config.items)) if not file]
    rows = _read_rows(config, data / config.path, in_log)
    if not len(rows.user):
        raise ConfigError(
            f"data: no row of {config.path} has a {config.user!r} and an {config.item!r}"
            + (" and meets data.where" if config.where else "")
        )
    kept, later = _kept(_first_times(rows), config)
    users, user_numbers = _sorted_names(kept.users, kept.user)
    items, item_numbers = _sorted_names(kept.items, kept.item)
    return Interactions(
        users=users,
        items=items,
        user=user_numbers,
        item=item_numbers,
        time=kept.time,
        user_records=_records(config, data, "users", of_users, users) or of_users.by_row(kept.line),
        item_records=_records(config, data, "items", of_items, items) or of_items.by_row(kept.line),
        sha256=_digest([data / path for path in (config.path, config.users, config.items) if path]),
        later=later,
    )


def _records(
    config: InteractionsConfig,
    data: Path,
    side: Literal["users", "items"],
    gathered: Gathered,
    names: list[str],
) -> Records | None:
    """Read the file that a side has of its own, if it has one."""
    path = config.users if side == "users" else config.items
    if not path:
        return None
    column, found = (config.user if side == "users" else config.item), []
    for place, line in _lines(data / path, [column, *gathered.columns], f"data.{side}"):
        found.append(line[column] if side == "users" else _item_name(line[column], config))
        gathered.add(line, place)
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


def _read_rows(config: InteractionsConfig, path: Path, in_log: Sequence[Gathered]) -> _LogRows:
    """The rows that meet the conditions, as they stand in the file; `in_log` gathers their columns."""
    of_user: dict[str, int] = {}
    of_item: dict[str, int] = {}
    user_numbers, item_numbers, times = array("q"), array("q"), array("d")
    keep = [_condition(text) for text in config.where]
    gathered = [column for part in in_log for column in part.columns]
    wanted = [config.user, config.item, config.time, *(c for c, _ in keep), *gathered]
    for place, line in _lines(path, wanted, "data.path"):
        user, item = line[config.user], _item_name(line[config.item], config)
        if not (user and item and all(test(line[column], place) for column, test in keep)):
            continue
        times.append(_moment(line[config.time], f"data.time: {config.time!r}, {place}"))
        user_numbers.append(of_user.setdefault(user, len(of_user)))
        item_numbers.append(of_item.setdefault(item, len(of_item)))
        for part in in_log:
            part.add(line, place)
    return _LogRows(
        list(of_user),
        list(of_item),
        np.array(user_numbers, dtype=np.int64),
        np.array(item_numbers, dtype=np.int64),
        np.array(times, dtype=np.float64),
        np.arange(len(times)),
    )


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


def _lines(path: Path, columns: Sequence[str], key: str) -> Iterator[tuple[str, Line]]:
    """Read the place of each row, and its values by column, as text. Raises ConfigError."""
    try:
        for row in good_rows(path, columns, BadRows(), may_lack=True):
            yield row.place, text_of_row(row)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None


def _digest(paths: Sequence[Path]) -> str:
    """Over the content of the files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _condition(text: str) -> tuple[str, Callable[[str, str], bool]]:
    """A column and a test of its value: numbers by < <= > >=, text by == and !=, patterns by ~ and !~."""
    match = _CONDITION.fullmatch(text)
    if not match:
        raise ConfigError(
            f'data.where: {text!r} is no condition; write for example "Quantity > 0" or "Code ~ ^[0-9]+$"'
        )
    column, sign, operand = match.groups()
    if sign in _NUMERIC:
        limit = _number(operand, f"data.where: {text!r}")
        compare = _NUMERIC[sign]
        return column, lambda value, place: compare(_number(value, f"data.where: {text!r}, {place}"), limit)
    if sign in ("==", "!="):
        return column, lambda value, place: (value == operand) == (sign == "==")
    try:
        pattern = re.compile(operand)
    except re.error as error:
        raise ConfigError(f"data.where: {operand!r} is no regular expression: {error}") from None
    return column, lambda value, place: bool(pattern.search(value)) == (sign == "~")


def _item_name(value: str, config: InteractionsConfig) -> str:
    return normal(value, uppercase=config.uppercase_items)


def _number(value: str, where: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{where}: {value!r} is no number") from None


def _moment(value: str, where: str) -> float:
    """Unix seconds, of a number of seconds or ISO 8601 (UTC unless it says otherwise)."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ConfigError(
            f"{where}: {value!r} is no time; use ISO 8601 (2011-11-02 09:30) or seconds since 1970"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_READ = {"number": _number, "time": _moment}  # kinds whose values are numbers
