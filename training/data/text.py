"""Texts, pairs, labels and graded pairs from files, and their digest.

Plain formats: one text a line; tab-separated (source, a, b); CSV with columns text and category; CSV
(sentence, sentence, score) without a header. `.gz` is read as it is.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO, cast

import numpy as np
import numpy.typing as npt

from training.config import SourceConfig
from training.errors import ConfigError


@dataclass(frozen=True)
class Pairs:
    """Texts that belong together, row by row."""

    first: list[str]
    second: list[str]


@dataclass(frozen=True)
class Labelled:
    """Texts with the number of their label, int64 (n,); names in order of number."""

    texts: list[str]
    labels: npt.NDArray[np.int64]
    names: list[str]


@dataclass(frozen=True)
class Graded:
    """Pairs of sentences with a similarity given by people, float64 (n,)."""

    first: list[str]
    second: list[str]
    scores: npt.NDArray[np.float64]


def read_texts(directory: Path, source: SourceConfig) -> list[str]:
    """One text a line, empty lines left out."""
    lines = (line.rstrip("\r\n") for line in _lines(directory / source.path))
    return list(islice((line for line in lines if line.strip()), source.limit))


def read_pairs(directory: Path, sources: Sequence[SourceConfig], kept: Sequence[str]) -> Pairs:
    """Tab-separated lines (source, a, b); only the sources in `kept`, or all if it is empty."""
    pairs = Pairs([], [])
    for source in sources:
        lines = islice(_lines(directory / source.path), source.limit)
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if len(fields) != 3:
                raise ConfigError(
                    f"{source.path}, line {number}: {len(fields)} fields, expected source, a, b"
                )
            if not kept or fields[0] in kept:
                pairs.first.append(fields[1])
                pairs.second.append(fields[2])
    return pairs


def read_labels(directory: Path, sources: Sequence[SourceConfig]) -> Labelled:
    """CSV with the columns text and category."""
    texts: list[str] = []
    names: list[str] = []
    for source in sources:
        rows = _csv_rows(directory / source.path)
        _, header = next(rows, (1, list[str]()))
        if not {"text", "category"} <= set(header):
            raise ConfigError(
                f"{source.path} has the columns {', '.join(header) or 'none'}; expected text and category"
            )
        for number, fields in islice(rows, source.limit):
            if len(fields) != len(header):
                raise ConfigError(
                    f"{source.path}, line {number}: {len(fields)} fields, expected {len(header)}"
                )
            row = dict(zip(header, fields, strict=True))
            texts.append(row["text"])
            names.append(row["category"])
    known = sorted(set(names))
    number_of = {name: index for index, name in enumerate(known)}
    return Labelled(texts, np.array([number_of[name] for name in names], dtype=np.int64), known)


def read_graded(path: Path) -> Graded:
    """CSV (sentence, sentence, score), no header."""
    graded: list[tuple[str, str, float]] = []
    for number, row in _csv_rows(path):
        try:
            first, second, score = row
            graded.append((first, second, float(score)))
        except ValueError:
            raise ConfigError(f"{path.name}, line {number}: expected sentence, sentence, score") from None
        if not math.isfinite(graded[-1][2]):
            raise ConfigError(f"{path.name}, line {number}: the score is {score}")
    if not graded:
        raise ConfigError(f"{path.name} is empty; expected lines of sentence, sentence, score")
    return Graded(
        [first for first, _, _ in graded],
        [second for _, second, _ in graded],
        np.array([score for _, _, score in graded]),
    )


def open_text(path: Path) -> TextIO:
    """A text file, unpacked if it is gzipped. Raises ConfigError if it is not there."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; say where the data is by --data or ENCODERY_DATA")
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8", newline=""))
    return path.open(encoding="utf-8", newline="")


def files_sha256(directory: Path, paths: Sequence[str]) -> str:
    """One digest over the content of several files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        if not (directory / path).is_file():
            raise ConfigError(
                f"{directory / path} does not exist; say where the data is by --data or ENCODERY_DATA"
            )
        with (directory / path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[str]:
    """Lines with their ends. Raises ConfigError, with the file and the line, for what cannot be read."""
    number = 0
    with open_text(path) as file:
        try:
            for number, line in enumerate(file, start=1):  # noqa: B007  # the error says how far it got
                yield line
        except UnicodeDecodeError:
            raise ConfigError(f"{path.name}, after line {number}: it is not UTF-8; convert it") from None
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise ConfigError(
                f"{path.name}, after line {number}: it is no gzip file, or is cut short; copy it again"
            ) from None


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of a row's last line, and its fields; blank lines left out. Raises ConfigError."""
    rows = csv.reader(_lines(path))
    try:
        yield from ((rows.line_num, row) for row in rows if row)
    except csv.Error as error:
        raise ConfigError(f"{path.name}, line {rows.line_num}: {error}") from None
