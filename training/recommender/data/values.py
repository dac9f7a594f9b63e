"""Values of features out of the text of a file: numbers and times of a whole column, and what is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bundle.preprocess.features.rows import entries_in
from tabular import TimeColumn
from tabular.values import number_of_text
from training.errors import ConfigError
from training.recommender.config.features import FeatureConfig
from training.recommender.data.records import column_of

Floats: TypeAlias = npt.NDArray[np.float64]
Check: TypeAlias = Callable[[str], object]  # of a value; raises ValueError
T = TypeVar("T")
A = TypeVar("A")


def checks_of(features: Sequence[FeatureConfig], day_first: bool | None) -> list[tuple[str, Check]]:
    """For the columns of features whose values may be none: what says so."""
    found: list[tuple[str, Check]] = []
    for feature in features:
        if feature.kind == "number":
            found.append((column_of(feature), number_of_text))
        elif feature.kind == "time":
            found.append((column_of(feature), _time_or_nothing(TimeColumn(day_first))))
        elif feature.kind == "bag":
            found.append((column_of(feature), entries_in))
    return found


def of_column(column: str, read: Callable[[str], T], line: Mapping[str, str]) -> T:
    """A line's value of a column. Raises ValueError that names the column."""
    try:
        return read(line[column])
    except ValueError as error:
        raise ValueError(f"{column}: {error}") from None


def numbers_of(texts: Sequence[str], where: Sequence[str]) -> Floats:
    """Numbers, float64 [n], of texts that hold some; `where` each stands. Raises ConfigError."""
    found = [_at(place, number_of_text, text) for text, place in zip(texts, where, strict=True)]
    return np.array(found, dtype=np.float64)


def times_of(texts: Sequence[str], where: Sequence[str], *, day_first: bool | None = None) -> Floats:
    """Unix seconds, float64 [n], of the times of one column; `where` each stands. Raises ConfigError."""
    column = TimeColumn(day_first)
    raw = [_at(place, column.raw, text) for text, place in zip(texts, where, strict=True)]
    return _at(where[0], column.seconds, np.array(raw, dtype=np.float64)) if raw else np.zeros(0)


def _time_or_nothing(times: TimeColumn) -> Check:
    return lambda text: text.strip() and times.raw(text)


def _at(place: str, read: Callable[[A], T], value: A) -> T:
    """Say of an error where the value stands."""
    try:
        return read(value)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from None
