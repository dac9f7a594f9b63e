"""Texts, pairs, triplets, labels and graded pairs from files.

Every one of them as named columns (`training.data.tables`), and in a plain format: one text a line;
tab-separated (source, first, second); tab-separated (first, second, negative); CSV with the columns text and
category; CSV (first, second, score) without a header.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.data.files import csv_rows, files_sha256, lines, open_text
from training.data.tables import BadRows, TableRow, named_csv, named_rows
from training.errors import ConfigError
from training.text.config.data import COLUMNS, RowKind, SourceConfig

__all__ = [
    "Labelled",
    "Pairs",
    "ScoredPairs",
    "Triplets",
    "files_sha256",
    "open_text",
    "read_labels",
    "read_pairs",
    "read_scored_file",
    "read_scored_pairs",
    "read_texts",
    "read_triplets",
    "spans_of",
]

SPAN_WORDS = 2, 10


@dataclass(frozen=True)
class Pairs:
    """Texts that belong together, row by row."""

    first: list[str]
    second: list[str]


@dataclass(frozen=True)
class Triplets:
    """Texts that belong together, and one each that does not."""

    first: list[str]
    second: list[str]
    negative: list[str]


@dataclass(frozen=True)
class Labelled:
    """Texts with the number of their label, int64 (n,); names in order of number."""

    texts: list[str]
    labels: npt.NDArray[np.int64]
    names: list[str]


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs of sentences with a similarity given by people, float64 (n,)."""

    first: list[str]
    second: list[str]
    scores: npt.NDArray[np.float64]


def read_texts(directory: Path, source: SourceConfig, bad: BadRows | None = None) -> list[str]:
    """Texts; empty lines of a plain file left out."""
    return [row["text"] for row in _rows(directory, source, "texts", bad)]


def spans_of(texts: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """So many spans of 2 to 10 words, each out of a random text that has more. Raises ConfigError."""
    fewest, most = SPAN_WORDS
    whole = [words for text in texts if len(words := text.split()) > most]
    if not whole:
        raise ConfigError(f"data.spans needs texts of more than {most} words, and there is none")
    chance = random.Random(seed)  # noqa: S311  # nothing secret
    spans = []
    for words in chance.choices(whole, k=count):
        length = chance.randint(fewest, most)
        start = chance.randrange(len(words) - length + 1)
        spans.append(" ".join(words[start : start + length]))
    return spans


def read_pairs(
    directory: Path, sources: Sequence[SourceConfig], kept: Sequence[str], bad: BadRows | None = None
) -> Pairs:
    """Texts and partners; only those whose column `source` is in `kept`, or all if it is empty."""
    pairs = Pairs([], [])
    for source in sources:
        for row in _rows(directory, source, "pairs", bad, also=["source"] if kept else []):
            if not kept or row["source"] in kept:
                pairs.first.append(row["first"])
                pairs.second.append(row["second"])
    return pairs


def read_triplets(directory: Path, sources: Sequence[SourceConfig], bad: BadRows | None = None) -> Triplets:
    """Texts, their partners, and one text each that is near and does not belong to them."""
    rows = [row for source in sources for row in _rows(directory, source, "triplets", bad)]
    return Triplets(
        [row["first"] for row in rows], [row["second"] for row in rows], [row["negative"] for row in rows]
    )


def read_labels(directory: Path, sources: Sequence[SourceConfig], bad: BadRows | None = None) -> Labelled:
    """Texts and labels, numbered in the order of their names."""
    rows = [row for source in sources for row in _rows(directory, source, "labels", bad)]
    known = sorted({row["label"] for row in rows})
    number_of = {name: index for index, name in enumerate(known)}
    labels = np.array([number_of[row["label"]] for row in rows], dtype=np.int64)
    return Labelled([row["text"] for row in rows], labels, known)


def read_scored_pairs(
    directory: Path, sources: Sequence[SourceConfig], bad: BadRows | None = None
) -> ScoredPairs:
    """Pairs with their similarity scores, of which there must be some in each file. Raises ConfigError."""
    found: list[dict[str, Any]] = []
    for source in sources:
        rows = list(_rows(directory, source, "graded", bad))
        if not rows:
            raise ConfigError(f"{source.path} has no usable row; expected first, second, score")
        found += rows
    return ScoredPairs(
        [row["first"] for row in found],
        [row["second"] for row in found],
        np.array([row["score"] for row in found], dtype=np.float64),
    )


def read_scored_file(path: Path) -> ScoredPairs:
    """Read scored pairs of one file. Raises ConfigError."""
    return read_scored_pairs(path.parent, [SourceConfig(path=path.name)])


def _rows(
    directory: Path, source: SourceConfig, kind: RowKind, bad: BadRows | None, also: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The checked rows of a file, by field; the first `limit` that are there, good or bad."""
    path, bad = directory / source.path, bad or BadRows()
    if source.named:
        rows = named_rows(path, {name: source.columns.get(name, name) for name in (*COLUMNS[kind], *also)})
    else:
        rows = PLAIN[kind](path)
    for row in islice(rows, source.limit):
        values = dict(row.values)
        fault = row.fault or _fault(values, named=source.named)
        if fault:
            bad.add(row, fault)
        else:
            yield values


def _fault(values: dict[str, Any], *, named: bool) -> str:
    """Why the values cannot be used, or ""; turns scores to numbers and labels to names in place.

    An empty text of a plain format has no token and is left out later, as it always was.
    """
    for name, value in values.items():
        if name == "score":
            values[name] = _number(value)
            if not math.isfinite(values[name]):
                return f"the score is {value}"
        elif name in ("label", "source") and isinstance(value, int) and not isinstance(value, bool):
            values[name] = str(value)
        elif not isinstance(value, str):
            return f"{name} is {value!r}, expected a text"
        elif named and not value.strip():
            return f"{name} is empty"
    return ""


def _number(value: Any) -> float:
    """NaN for what is none."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def _plain_texts(path: Path) -> Iterator[TableRow]:
    stripped = ((number, line.rstrip("\r\n")) for number, line in enumerate(lines(path), start=1))
    return (
        TableRow(f"{path.name}, line {number}", {"text": line}) for number, line in stripped if line.strip()
    )


def _separated_by_tabs(*names: str) -> Callable[[Path], Iterator[TableRow]]:
    def read(path: Path) -> Iterator[TableRow]:
        for number, line in enumerate(lines(path), start=1):
            yield _row(path, number, line.rstrip("\r\n").split("\t"), names)

    return read


def _row(path: Path, number: int, fields: Sequence[str], names: Sequence[str]) -> TableRow:
    fault = "" if len(fields) == len(names) else f"{len(fields)} fields, expected {', '.join(names)}"
    return TableRow(f"{path.name}, line {number}", dict(zip(names, fields, strict=False)), fault)


def _plain_labels(path: Path) -> Iterator[TableRow]:
    return named_csv(path, {"text": "text", "label": "category"})


def _plain_scores(path: Path) -> Iterator[TableRow]:
    return (_row(path, number, fields, COLUMNS["graded"]) for number, fields in csv_rows(path))


PLAIN: Mapping[RowKind, Callable[[Path], Iterator[TableRow]]] = {
    "texts": _plain_texts,
    "pairs": _separated_by_tabs("source", "first", "second"),
    "triplets": _separated_by_tabs("first", "second", "negative"),
    "labels": _plain_labels,
    "graded": _plain_scores,
}
