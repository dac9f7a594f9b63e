"""An interaction log, from CSV lines to arrays: who took what, first when, and what is said of both.

    CSV lines -> those that meet `where` -> first interaction of each (user, item) pair -> k-core

Columns that feature declarations name are gathered per user and per item on the way. Knows nothing of
splits, vocabularies or towers.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from training.config import ConfigError, FeatureConfig, InteractionsConfig

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
        """Per user, the row numbers of its pairs, oldest first."""
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
    pairs = _first_times(config, data / config.path, gathered_users, gathered_items)
    digest = hashlib.sha256((data / config.path).read_bytes())
    if config.items:
        for number, line in _lines(data / config.items, [config.item], "data.items"):
            gathered_items.add(_item_name(line[config.item], config), line, number)
        digest.update((data / config.items).read_bytes())
    core = _core(pairs, config.core)
    if not core:
        raise ConfigError(
            f"data.core: no user and item with {config.core} each is left of {len(pairs)} pairs; lower it"
        )
    users, items = sorted({user for user, _, _ in core}), sorted({item for _, item, _ in core})
    of_user, of_item = ({name: index for index, name in enumerate(names)} for names in (users, items))
    return Interactions(
        users=users,
        items=items,
        user=np.array([of_user[name] for name, _, _ in core], dtype=np.int64),
        item=np.array([of_item[name] for _, name, _ in core], dtype=np.int64),
        time=np.array([moment for _, _, moment in core], dtype=np.float64),
        user_records=[gathered_users.record(name) for name in users],
        item_records=[gathered_items.record(name) for name in items],
        sha256=digest.hexdigest(),
    )


def column_of(feature: FeatureConfig) -> str:
    """The column that a feature is read from."""
    return feature.column or feature.name


def _first_times(
    config: InteractionsConfig, path: Path, users: _Gathered, items: _Gathered
) -> list[tuple[str, str, float]]:
    """(user, item, first time) of every pair, by time and then by line."""
    first: dict[tuple[str, str], tuple[float, int]] = {}
    keep = [_condition(text) for text in config.where]
    in_log = [] if config.items else items.columns
    wanted = [config.user, config.item, config.time, *(c for c, _ in keep), *users.columns, *in_log]
    for number, line in _lines(path, wanted, "data.path"):
        user, item = line[config.user], _item_name(line[config.item], config)
        if not (user and item and all(test(line[column], number) for column, test in keep)):
            continue
        moment = _moment(line[config.time], f"data.time: {config.time!r}, line {number}")
        pair = user, item
        if pair not in first or moment < first[pair][0]:
            first[pair] = moment, number
        users.add(user, line, number)
        if not config.items:
            items.add(item, line, number)
    ordered = sorted(first.items(), key=operator.itemgetter(1))
    return [(user, item, moment) for (user, item), (moment, _) in ordered]


def _lines(path: Path, columns: Sequence[str], key: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values by column, of a CSV or CSV.gz with a header line. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{key}: {path} does not exist; set --data or the path")
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        for column in columns:
            if column not in (header := reader.fieldnames or ()):
                raise ConfigError(f"{key}: no column {column!r} in {path.name}; it has {', '.join(header)}")
        for line in reader:
            yield reader.line_num, line


def _condition(text: str) -> tuple[str, Callable[[str, int], bool]]:
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
        return column, lambda value, line: compare(
            _number(value, f"data.where: {text!r}, line {line}"), limit
        )
    if sign in ("==", "!="):
        return column, lambda value, line: (value == operand) == (sign == "==")
    try:
        pattern = re.compile(operand)
    except re.error as error:
        raise ConfigError(f"data.where: {operand!r} is no regular expression: {error}") from None
    return column, lambda value, line: bool(pattern.search(value)) == (sign == "~")


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


def _core(pairs: Sequence[tuple[str, str, float]], least: int) -> list[tuple[str, str, float]]:
    """The largest part in which every user and every item has at least `least` pairs."""
    kept = list(pairs)
    while True:
        users, items = Counter(pair[0] for pair in kept), Counter(pair[1] for pair in kept)
        fewer = [pair for pair in kept if users[pair[0]] >= least and items[pair[1]] >= least]
        if len(fewer) == len(kept):
            return kept
        kept = fewer


@dataclass
class _Gathered:
    """What the lines say of each user or item, one value per feature in the end.

    Strings: the most frequent (ties by name). Numbers: the median. Times: the earliest.
    """

    features: Sequence[FeatureConfig]
    seen: dict[str, list[Counter[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = [column_of(feature) for feature in self.features]
        self.seen = defaultdict(lambda: [Counter() for _ in self.columns])
        self._line: dict[tuple[int, str], int] = {}  # where a number or time first stood, for messages

    def add(self, name: str, line: Line, number: int) -> None:
        for position, column in enumerate(self.columns):
            if value := line[column].strip():
                self.seen[name][position][value] += 1
                self._line.setdefault((position, value), number)

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
                read(text, f"{feature.name}: {column_of(feature)!r}, line {self._line[position, text]}")
                for text in counts.elements()
            ]
            return median(numbers) if feature.kind == "number" else min(numbers)
        text = min(counts, key=lambda value: (-counts[value], value))
        return [part for part in text.split(feature.separator) if part] if feature.kind == "bag" else text
