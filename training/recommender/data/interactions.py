"""An interaction log, from rows of a file to arrays: who took what, first when, and what is known of both.

    rows -> those that meet `where` -> first interaction of each (user, item) pair -> k-core

Rows are read one by one and become numbers at once, so that memory holds 24 bytes for each, and not the
file. Columns that feature declarations name are gathered per user and per item on the way. Knows nothing of
splits, vocabularies or towers.
"""

from __future__ import annotations

import hashlib
import operator
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from training.data.tables import as_text, named_rows
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig, InteractionsConfig

Record: TypeAlias = dict[str, Any]  # feature name -> JSON value, as a caller would send it
Line: TypeAlias = Mapping[str, str]

_CONDITION = re.compile(r"(\S+) (>=|<=|>|<|==|!=|~|!~) ?(.*)")
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True)
class Interactions:
    """Binary, implicit feedback: each (user, item) pair once, at its first time.

    Attributes:
        users, items: names, sorted; an index below is a position here.
        user, item: int64 [n], one row per pair, in order of time (ties by line).
        time: float64 [n], unix seconds.
        user_records, item_records: feature values of each user and item, without id and history.
        sha256: digest of the files.
    """

    users: list[str]
    items: list[str]
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    time: npt.NDArray[np.float64]
    user_records: list[Record]
    item_records: list[Record]
    sha256: str

    def histories(self) -> list[npt.NDArray[np.int64]]:
        """List each user's row numbers, oldest first."""
        order = np.argsort(self.user, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.user, minlength=len(self.users)))[:-1])


def read_interactions(
    config: InteractionsConfig, data: Path, user: Sequence[FeatureConfig], item: Sequence[FeatureConfig]
) -> Interactions:
    """Read, filter, and keep the core.

    Args:
        config: where the log is and what its columns mean.
        data: what the paths are relative to.
        user: features whose columns are gathered; the history is the log itself.
        item: the same; the id is the item's name in the log.

    Raises:
        ConfigError: a file, column, condition or value cannot be used; names the key and the line.
    """
    gathered_users = _Gathered([f for f in user if f.kind != "history"])
    gathered_items = _Gathered([f for f in item if column_of(f) != config.item])
    rows = _read_rows(config, data / config.path, gathered_users, gathered_items)
    if config.items:
        for place, line in _lines(data / config.items, [config.item, *gathered_items.columns], "data.items"):
            gathered_items.add(_item_name(line[config.item], config), line, place)
    if not len(rows.user):
        raise ConfigError(
            f"data: no row of {config.path} has a {config.user!r} and an {config.item!r}"
            + (" and meets data.where" if config.where else "")
        )
    pairs = _first_times(rows)
    core = _core(pairs, config.core)
    if not len(core.user):
        count = len(pairs.user)
        raise ConfigError(
            f"data.core: no user and item with {config.core} each is left of {count} pairs; lower it"
        )
    users, user_numbers = _sorted_names(core.users, core.user)
    items, item_numbers = _sorted_names(core.items, core.item)
    return Interactions(
        users=users,
        items=items,
        user=user_numbers,
        item=item_numbers,
        time=core.time,
        user_records=[gathered_users.record(name) for name in users],
        item_records=[gathered_items.record(name) for name in items],
        sha256=_digest([data / path for path in (config.path, config.items) if path]),
    )


def column_of(feature: FeatureConfig) -> str:
    """The column that a feature is read from."""
    return feature.column or feature.name


@dataclass(frozen=True)
class _LogRows:
    """Rows of a log: int64 [n] numbers of users and items among their names, float64 [n] unix seconds."""

    users: Sequence[str]
    items: Sequence[str]
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    time: npt.NDArray[np.float64]

    def at(self, rows: npt.NDArray[Any]) -> _LogRows:
        """Choose rows, by their numbers or by True for each that is wanted."""
        return _LogRows(self.users, self.items, self.user[rows], self.item[rows], self.time[rows])


def _read_rows(config: InteractionsConfig, path: Path, users: _Gathered, items: _Gathered) -> _LogRows:
    """The rows that meet the conditions, as they stand in the file."""
    of_user: dict[str, int] = {}
    of_item: dict[str, int] = {}
    user_numbers, item_numbers, times = array("q"), array("q"), array("d")
    keep = [_condition(text) for text in config.where]
    in_log = [] if config.items else items.columns
    wanted = [config.user, config.item, config.time, *(c for c, _ in keep), *users.columns, *in_log]
    for place, line in _lines(path, wanted, "data.path"):
        user, item = line[config.user], _item_name(line[config.item], config)
        if not (user and item and all(test(line[column], place) for column, test in keep)):
            continue
        times.append(_moment(line[config.time], f"data.time: {config.time!r}, {place}"))
        user_numbers.append(of_user.setdefault(user, len(of_user)))
        item_numbers.append(of_item.setdefault(item, len(of_item)))
        users.add(user, line, place)
        if not config.items:
            items.add(item, line, place)
    return _LogRows(
        list(of_user),
        list(of_item),
        np.array(user_numbers, dtype=np.int64),
        np.array(item_numbers, dtype=np.int64),
        np.array(times, dtype=np.float64),
    )


def _first_times(rows: _LogRows) -> _LogRows:
    """The first row of every pair, by time and then by place in the file."""
    by_time = rows.at(np.argsort(rows.time, kind="stable"))
    pair = by_time.user * len(rows.items) + by_time.item
    return by_time.at(np.sort(np.unique(pair, return_index=True)[1]))


def _core(pairs: _LogRows, least: int) -> _LogRows:
    """The largest part in which every user and every item has at least `least` pairs."""
    while True:
        users, items = np.bincount(pairs.user), np.bincount(pairs.item)
        enough = (users[pairs.user] >= least) & (items[pairs.item] >= least)
        if enough.all():
            return pairs
        pairs = pairs.at(enough)


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
        for row in named_rows(path, {column: column for column in columns}):
            if not row.values:  # JSONL may leave out what is empty
                raise ConfigError(f"{row.place}: {row.fault}")
            yield row.place, {column: as_text(value, row.place) for column, value in row.values.items()}
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
    return value.upper() if config.uppercase_items else value


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


@dataclass
class _Gathered:
    """The values that lines give of each user or item, one per feature in the end.

    Strings: the most frequent (ties by name). Numbers: the median. Times: the earliest.
    """

    features: Sequence[FeatureConfig]
    seen: dict[str, list[Counter[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = [column_of(feature) for feature in self.features]
        self.seen = defaultdict(lambda: [Counter() for _ in self.columns])
        self._place: dict[tuple[int, str], str] = {}  # where a value first stood, for messages

    def add(self, name: str, line: Line, place: str) -> None:
        for position, column in enumerate(self.columns):
            if value := line[column].strip():
                self.seen[name][position][value] += 1
                self._place.setdefault((position, value), place)

    def record(self, name: str) -> Record:
        values = {
            feature.name: self._value(position, feature, counts)
            for position, (feature, counts) in enumerate(zip(self.features, self.seen[name], strict=True))
            if counts
        }
        return {key: value for key, value in values.items() if value is not None}

    def _value(self, position: int, feature: FeatureConfig, counts: Counter[str]) -> Any:
        if feature.kind in ("number", "time"):
            read = _number if feature.kind == "number" else _moment
            numbers = [
                read(text, f"{feature.name}: {column_of(feature)!r}, {self._place[position, text]}")
                for text in counts.elements()
            ]
            return median(numbers) if feature.kind == "number" else min(numbers)
        text = min(counts, key=lambda value: (-counts[value], value))
        return [part for part in text.split(feature.separator) if part] if feature.kind == "bag" else text
