"""Texts, pairs, triplets, labels and graded pairs from files.

Every one of them as named columns (`tabular`), and in a plain format: one text a line; tab-separated
(source, first, second); tab-separated (first, second, negative); CSV with the columns text and category; CSV
(first, second, score) without a header. Labels are read without the blanks around them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.values import BadValueError, json_type, number_of
from tabular import FORMATS, BadRows, Lines, Row, named_rows
from tabular.separated import csv_records
from tabular.values import number_of_text, text_of
from training.data.files import files_sha256, open_text, refuse_absent
from training.data.tables import as_config_error
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
    directory: Path,
    sources: Sequence[SourceConfig],
    kept: Sequence[str],
    bad: BadRows | None = None,
    *,
    limits: Mapping[str, int] | None = None,
) -> Pairs:
    """Texts and partners.

    Args:
        directory: that paths are relative to.
        sources: the files.
        kept: what the column `source` may hold; all if it is empty.
        bad: what is done with bad rows.
        limits: most pairs of a source, the first ones of all files.
    """
    pairs, left = Pairs([], []), dict(limits or {})
    for source in sources:
        for row in _rows(directory, source, "pairs", bad, also=["source"] if kept or left else []):
            name = row.get("source", "")
            if (kept and name not in kept) or left.get(name) == 0:
                continue
            if name in left:
                left[name] -= 1
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
    refuse_absent(path)
    fields = (*COLUMNS[kind], *also)
    columns = {name: source.columns.get(name, name) if source.named else name for name in fields}
    with as_config_error():
        rows = named_rows(path, list(columns.values())) if source.named else PLAIN[kind](path)
        for row in bad.counting(islice(rows, source.limit), path.name):
            values = {name: row.content[column] for name, column in columns.items() if column in row.content}
            fault = _fault(values, columns, named=source.named)
            if row.number == 1 and not source.named and (fault or _are_names(row.content)):
                fault = f"{fault or 'the names of columns'}; a line of names needs {_said(columns)}"
            if fault:
                bad.add(row, fault)
            else:
                yield values


def _are_names(content: Mapping[str, Any]) -> bool:
    """Whether the row of a plain format says what the format calls its fields."""
    return all(str(value).strip().casefold() == name for name, value in content.items())


def _said(columns: Iterable[str]) -> str:
    return f"columns = {{ {', '.join(f'{name} = ...' for name in columns)} }}"


def _fault(values: dict[str, Any], columns: Mapping[str, str], *, named: bool) -> str:
    """Why the values cannot be used, or ""; turns scores to numbers and labels to names in place.

    An empty text of a plain format has no token and is left out later, as it always was.
    """
    for name, value in values.items():
        column = columns[name]
        read: Callable[[Any], Any] = _READ.get(name, _text)
        try:
            values[name] = read(value)
        except ValueError as error:
            return f"{column}: {error}"
        if named and isinstance(value, str) and not value.strip():
            return f"{column} is empty"
    return ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{json_type(value)}, expected a text")
    return value


def _score(value: Any) -> float:
    try:
        number = number_of_text(value) if isinstance(value, str) else number_of(value)
    except BadValueError as error:
        raise ValueError(error.message) from None
    if number is None:
        raise ValueError("the score is missing")
    return number


def _name(value: Any) -> str:
    if value is None or isinstance(value, (bool, list, dict)):
        raise ValueError(f"{json_type(value)}, expected a text or a number")
    return text_of(value).strip()


def _label(value: Any) -> str:
    if not (name := _name(value)):
        raise ValueError("the label is missing")
    return name


_READ: Mapping[str, Callable[[Any], Any]] = {"score": _score, "label": _label, "source": _name}


def _plain_texts(path: Path) -> Iterator[Row]:
    """Blank lines are no rows."""
    lines = Lines(path, is_table=False)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            fault = lines.fault(number, number) if lines.faults else ""
            yield Row(f"{path.name}, line", number, {"text": line.rstrip("\r\n")}, fault)


def _separated_by_tabs(*names: str) -> Callable[[Path], Iterator[Row]]:
    def read(path: Path) -> Iterator[Row]:
        lines = Lines(path, is_table=False)
        for number, line in enumerate(lines, start=1):
            if line := line.rstrip("\r\n"):  # a blank line is no row
                fault = lines.fault(number, number) if lines.faults else ""
                yield _row(path, number, line.split("\t"), names, fault)

    return read


def _row(path: Path, number: int, fields: Sequence[str], names: Sequence[str], fault: str) -> Row:
    if not fault and len(fields) != len(names):
        fault = f"{len(fields)} fields, expected {', '.join(names)}"
    return Row(f"{path.name}, line", number, dict(zip(names, fields, strict=False)), fault)


def _plain_labels(path: Path) -> Iterator[Row]:
    for row in FORMATS[".csv"].rows(path, ["text", "category"]):  # whatever the file is called
        if row.fault:
            yield row
        else:
            yield row._replace(content={"text": row.content["text"], "label": row.content["category"]})


def _plain_scores(path: Path) -> Iterator[Row]:
    return (_row(path, line, fields, COLUMNS["graded"], fault) for line, fields, fault in csv_records(path))


PLAIN: Mapping[RowKind, Callable[[Path], Iterator[Row]]] = {
    "texts": _plain_texts,
    "pairs": _separated_by_tabs("source", "first", "second"),
    "triplets": _separated_by_tabs("first", "second", "negative"),
    "labels": _plain_labels,
    "graded": _plain_scores,
}
