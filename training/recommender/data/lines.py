"""The rows of a log, and of files that go with it, as text: who took what and when, and which rows count.

    rows of a file -> text -> ids -> `data.where` -> times -> events

A row that cannot be used stops the run or is left out, as `data.bad_rows` says; one that is not wanted is
counted by its reason. Knows nothing of pairs, cores or records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tabular import BadRows, Row, TimeColumn, named_rows
from tabular.ids import IdColumn, whole_float_columns
from tabular.values import text_of
from training.data.files import refuse_absent
from training.data.tables import as_config_error
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig, InteractionsConfig
from training.recommender.data.records import column_of
from training.recommender.data.values import checks_of, of_column
from training.recommender.data.where import condition_of

Line: TypeAlias = Mapping[str, str]
Floats: TypeAlias = npt.NDArray[np.float64]


class Event(NamedTuple):
    """A row of the log that counts; `raw_time` means something when all were read (`Log.seconds`)."""

    user: str
    item: str
    raw_time: float
    line: Line
    place: str


class Log:
    """Reads a log once, event by event.

    Args:
        config: what its columns mean, and which rows count.
        path: of the log.
        features: whose columns it has, beside those of the config.
        bad: counts its rows.

    Raises:
        ConfigError: on iteration, if the file, a column, a condition or a row cannot be used.
    """

    def __init__(
        self, config: InteractionsConfig, path: Path, features: Sequence[FeatureConfig], bad: BadRows
    ) -> None:
        self._config, self._path, self._features, self._bad = config, path, features, bad
        self._where = [condition_of(text) for text in config.where]
        self._checks = checks_of(features, config.day_first)
        self._times = TimeColumn(config.day_first)

    def __iter__(self) -> Iterator[Event]:
        config, bad = self._config, self._bad
        others = [config.time, *(one.column for one in self._where)]
        columns = Columns.of(self._path, "data.path", [config.user, config.item], self._features, others)
        for row, line in text_lines(self._path, columns, "data.path", bad):
            try:
                found = self._event(row.place, line)
            except ValueError as error:
                add_bad(bad, row, str(error), "data.path")
            else:
                if isinstance(found, Event):
                    yield found
                else:
                    bad.files[-1].leave_out(found, row.number)

    def _event(self, place: str, line: Line) -> Event | str:
        """The row's event, or why it does not count. Raises ValueError with the column."""
        config = self._config
        user, item = line[config.user], line[config.item]
        if not (user and item):
            return f"no {config.item if user else config.user}"
        for one in self._where:
            if not of_column(one.column, one.holds, line):
                return f"not {one.text}"
        for column, check in self._checks:
            of_column(column, check, line)
        time = of_column(config.time, lambda text: self._times.raw(text, place), line)
        return Event(user, item.upper() if config.uppercase_items else item, time, line, place)

    def seconds(self, raw: Floats) -> Floats:
        """Unix seconds, float64 [n], of the events' raw times; notes what they were read as."""
        column = self._config.time
        try:
            seconds, notation = self._times.seconds(raw), self._times.described()
        except ValueError as error:
            raise ConfigError(f"data.time: {self._path.name}, {column}: {error}") from None
        if len(seconds):
            first, last = (datetime.fromtimestamp(one, UTC).date() for one in (seconds.min(), seconds.max()))
            self._bad.files[-1].notes.append(f"{column} is {notation}, from {first} to {last}")
        return seconds


@dataclass(frozen=True)
class Columns:
    """The columns that are read of a file.

    Attributes:
        names: of all.
        ids: those whose values are ids, or categories that pandas wrote as floats, and how they are read.
    """

    names: Sequence[str]
    ids: Mapping[str, IdColumn]

    @classmethod
    def of(
        cls,
        path: Path,
        key: str,
        ids: Sequence[str],
        features: Sequence[FeatureConfig],
        others: Sequence[str] = (),
    ) -> Columns:
        """Those of ids, of features and others, by a look at the file. Raises ConfigError."""
        categories = [column_of(feature) for feature in features if feature.kind == "category"]
        with as_config_error(key):
            refuse_absent(path)
            whole = whole_float_columns(path, [*ids, *categories])
        read = {name: IdColumn(name, is_whole_float=name in whole) for name in (*ids, *sorted(whole))}
        return cls([*ids, *others, *map(column_of, features)], read)


def text_lines(path: Path, columns: Columns, key: str, bad: BadRows) -> Iterator[tuple[Row, Line]]:
    """The rows that can be read, each with its values by column as text.

    Raises:
        ConfigError: the file cannot be read, has no such column, or a bad row that is not to be skipped.
    """
    with as_config_error(key):
        for row in bad.counting(named_rows(path, columns.names, may_lack=True), path.name):
            line: dict[str, str] = {}
            try:
                for name, value in row.content.items():
                    line[name] = ""
                    line[name] = (
                        columns.ids[name].of(text_of(value)) if name in columns.ids else text_of(value)
                    )
            except ValueError as error:
                bad.add(row, f"{list(line)[-1]}: {error}")
            else:
                yield row, line
        bad.files[-1].notes += [note for one in columns.ids.values() if (note := one.note())]


def add_bad(bad: BadRows, row: Row, fault: str, key: str) -> None:
    """Count a bad row of the file that is read now. Raises ConfigError where one is enough."""
    with as_config_error(key):
        bad.add(row, fault)
