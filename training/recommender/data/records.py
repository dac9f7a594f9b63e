"""The feature values of users and items, as the rows of a log that may be read tell them.

    lines -> one code per row and column -> the record of a user or item, of any of its rows

What a row says of its user or item is known from that row on. So a record is always made of given rows, never
of all: of a user who is measured the rows that are shown, of an item those that training has seen. A file of
users or items holds facts that no time changes; they are the same whatever is shown.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bundle.preprocess.features.rows import entries_in
from bundle.preprocess.features.vocabulary import normal
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig

Ints = npt.NDArray[np.int64]
Record: TypeAlias = dict[str, Any]  # feature name -> JSON value, as a caller would send it
# Texts of a column, and where each stands, for messages, to values: float64 [n].
Read: TypeAlias = Callable[[Sequence[str], Sequence[str]], npt.NDArray[np.float64]]

MISSING = -1  # the code of an empty field


def column_of(feature: FeatureConfig) -> str:
    """The column that a feature is read from."""
    return feature.column or feature.name


@dataclass(frozen=True)
class Column:
    """A feature's values by row.

    Attributes:
        feature: as declared.
        values: the distinct ones, in the order of their texts: float64 of numbers and times.
        codes: int64 [rows], which of them each row has, or MISSING.
    """

    feature: FeatureConfig
    values: Sequence[Any] | npt.NDArray[np.float64]
    codes: Ints

    def value(self, rows: Ints) -> Any:
        """Of numbers the median, of times the earliest, else the most frequent (ties by text); or None."""
        codes = self.codes[rows]
        codes = codes[codes != MISSING]
        if not len(codes):
            return None
        if self.feature.kind in ("number", "time"):
            found = np.asarray(self.values)[codes]
            return float(np.median(found) if self.feature.kind == "number" else found.min())
        distinct, counts = np.unique(codes, return_counts=True)
        return self.values[int(distinct[counts.argmax()])]


@dataclass(frozen=True)
class Records:
    """Of the users, or of the items.

    Attributes:
        columns: one per feature, over the rows of the log; empty where a file has them.
        static: a record each, where a file has them.
    """

    columns: Sequence[Column]
    static: Sequence[Record] | None = None

    @property
    def follow_rows(self) -> bool:
        """Whether a record depends on the rows that it is made of."""
        return self.static is None and bool(self.columns)

    def of(self, number: int, rows: Ints) -> Record:
        """Of one user or item, by rows of its own."""
        if self.static is not None:
            return self.static[number]
        found = {column.feature.name: column.value(rows) for column in self.columns}
        return {name: value for name, value in found.items() if value is not None}

    def of_each(self, owners: Ints, rows: Ints, count: int) -> list[Record]:
        """Of all `count` users or items, by some rows of the log; `owners` says whose each row is, [n]."""
        ordered = rows[np.argsort(owners[rows], kind="stable")]
        ends = np.cumsum(np.bincount(owners[rows], minlength=count))
        return [self.of(number, found) for number, found in enumerate(np.split(ordered, ends[:-1]))]

    def first_rows(self, owners: Ints, rows: Ints) -> Ints:
        """Of each owner's rows, in order of time, the first that gives a value, for every column."""
        found = [rows[:0]]
        for column in self.columns:
            given = rows[column.codes[rows] != MISSING]
            found.append(given[np.unique(owners[given], return_index=True)[1]])
        return np.unique(np.concatenate(found))


class Gathered:
    """Takes the values of lines as they are read.

    Args:
        features: whose columns are read.
        read: of the kinds `number` and `time`, what makes values of the texts of a column.
    """

    def __init__(self, features: Sequence[FeatureConfig], read: Mapping[str, Read]) -> None:
        self.features, self._read = features, read
        self.columns = [column_of(feature) for feature in features]
        self._texts: list[dict[str, int]] = [{} for _ in features]
        self._places: list[list[str]] = [[] for _ in features]  # where each first stood, for messages
        self._codes = [array("i") for _ in features]

    def add(self, line: Mapping[str, str], place: str) -> None:
        """Read the next line."""
        for position, column in enumerate(self.columns):
            code, texts = MISSING, self._texts[position]
            if value := line[column].strip():
                code = texts.setdefault(value, len(texts))
                if code == len(self._places[position]):
                    self._places[position].append(place)
            self._codes[position].append(code)

    def by_row(self, lines: Ints) -> Records:
        """Of the rows that are left of a log, by which of the lines each was, counted from 0."""
        return Records([self._column(position, lines) for position in range(len(self.features))])

    def by_name(self, names: Sequence[str], wanted: Sequence[str]) -> Records:
        """Of a file of their own, by the name in each line; who is missing there has no values."""
        number = {name: position for position, name in enumerate(wanted)}
        owners = np.array([number.get(name, -1) for name in names], dtype=np.int64)
        lines = np.flatnonzero(owners >= 0)
        records = self.by_row(lines).of_each(owners[lines], np.arange(len(lines)), len(wanted))
        return Records([], records)

    def _column(self, position: int, lines: Ints) -> Column:
        """The values that these lines have; only they are read as numbers or times."""
        feature, texts = self.features[position], list(self._texts[position])
        codes = np.array(self._codes[position], dtype=np.int64)[lines]
        used = sorted(np.unique(codes[codes != MISSING]).tolist(), key=texts.__getitem__)
        code_of = np.full(len(texts) + 1, MISSING, dtype=np.int64)  # the last is of what is missing
        code_of[used] = np.arange(len(used))
        return Column(feature, self._values(position, used, texts), code_of[codes])

    def _values(self, position: int, used: Sequence[int], texts: Sequence[str]) -> Any:
        feature = self.features[position]
        if read := self._read.get(feature.kind):
            where = f"{feature.name}: {column_of(feature)!r}, "
            places = self._places[position]
            return read([texts[code] for code in used], [where + places[code] for code in used])
        if feature.kind == "bag":
            return [self._entries(position, texts[code], code) for code in used]
        return [texts[code] for code in used]

    def _entries(self, position: int, text: str, code: int) -> list[str]:
        """The entries of a bag. Raises ConfigError."""
        feature = self.features[position]
        try:
            found = entries_in(text, feature.separator)
        except ValueError as error:
            place = self._places[position][code]
            raise ConfigError(f"{feature.name}: {column_of(feature)!r}, {place}: {error}") from None
        return [entry for entry in (normal(str(one)) for one in found) if entry]
