"""Encoding the inputs of a file of vectors again: the most wanted first, going on where a run stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

import tabular
from bundle import Encoder
from bundle.cores import usable_cores
from bundle.golden import deviation
from bundle.neighbours import Floats, Ints
from bundle.progress import Progress
from encodery.bulk.backends import LocalBackend, Options
from encodery.bulk.command import chunks
from encodery.bulk.outputs import ROW, TRUNCATED, WARNINGS
from encodery.bulk.parts import Parts
from encodery.bulk.rows import InputRow, Selection, check_columns, read_rows, survey
from encodery.spaces.errors import SpaceError

OPTIONS = Options(truncate="end")
DIFFERENT = 1e-3  # other kernels and batches are off by 1e-5, another encoder or another text by 1e-1


@dataclass(frozen=True)
class Inputs:
    """What vectors were encoded from.

    Attributes:
        path: the file that was encoded; a vector's `row` is the number of its row there, from 0.
        column: that holds the input, for models that read one.
        rows: those that have a vector; int64 [n], ascending.
        first: rows to encode before the others, the most wanted first.
    """

    path: Path
    column: str | None
    rows: Ints
    first: Sequence[int] = ()

    def check(self, encoder: Encoder) -> None:
        """Raise SpaceError, BulkError or DataError if they cannot be what was encoded."""
        found = survey(self.path)
        check_columns(self.path, found, self._selection(encoder))
        if self.rows[-1] >= found.rows:
            raise SpaceError(
                f"{self.path.name} has {found.rows:,} rows, and the vectors are of rows up to "
                f"{self.rows[-1]:,}; give the file that they were encoded from"
            )

    def in_order(self, encoder: Encoder) -> Iterator[InputRow]:
        """Every row with a vector: the wanted ones in their order, then all others in the file's."""
        wanted = dict.fromkeys(row for row in self.first if self._has(row))
        if wanted:
            found = {row.number: row for row in self._read(encoder) if row.number in wanted}
            yield from (found[number] for number in wanted)
        yield from (row for row in self._read(encoder) if row.number not in wanted and self._has(row.number))

    def some(self, encoder: Encoder, rows: Ints) -> list[InputRow]:
        """These rows, ascending."""
        wanted = set(rows.tolist())
        return [row for row in self._read(encoder) if row.number in wanted]

    def _read(self, encoder: Encoder) -> Iterator[InputRow]:
        return read_rows(self.path, self._selection(encoder))

    def _selection(self, encoder: Encoder) -> Selection:
        return Selection(encoder.kind.columns(encoder.schema(), self.column))

    def _has(self, row: int) -> bool:
        at = int(np.searchsorted(self.rows, row))
        return at < len(self.rows) and int(self.rows[at]) == row


def read_first(path: Path) -> list[int]:
    """Numbers of the rows to encode first: the column `row` of a file. Raises DataError, SpaceError."""
    try:
        return [int(row.content[ROW]) for row in tabular.read_rows(path, [ROW])]
    except (KeyError, TypeError, ValueError):
        raise SpaceError(f"{path.name}: expected the number of a row in the column {ROW!r} of each") from None


def encode_again(encoder: Encoder, inputs: Inputs, parts: Parts, limit: int | None = None) -> int:
    """Encode what is not yet; how many rows are done, bad ones counted.

    Parts are named by positions in the order of encoding. At most `limit` rows are done in this run.
    """
    before = parts.all()
    start = before[-1].end if before else 0
    rows = islice(inputs.in_order(encoder), start, None if limit is None else start + limit)
    with (
        Progress(total=len(inputs.rows), label=encoder.manifest.name, unit="rows", done=start) as progress,
        closing(LocalBackend(encoder, OPTIONS, usable_cores())) as backend,
    ):
        for chunk in chunks(rows):
            _add(parts, start, chunk, backend)
            start += len(chunk)
            progress.advance(len(chunk))
    return start


def _add(parts: Parts, start: int, chunk: Sequence[InputRow], backend: LocalBackend) -> None:
    whole = [row for row in chunk if not row.fault]
    done = backend.encode([row.value for row in whole])
    faults = {whole[at].number: reason for at, reason in done.faults.items()}
    faults |= {row.number: row.fault for row in chunk if row.fault}
    kept = [
        {ROW: row.number, TRUNCATED: TRUNCATED in done.told(at), WARNINGS: done.told(at)}
        for at, row in enumerate(whole)
        if row.number not in faults
    ]
    bad = [
        {ROW: row.number, "line": row.line, "reason": faults[row.number], "input": row.source}
        for row in chunk
        if row.number in faults
    ]
    parts.add(start, start + len(chunk), done.vectors, kept, bad)


def not_of(encoder: Encoder, inputs: Inputs, rows: Ints, vectors: Floats) -> list[int]:
    """Which of these rows have another vector than the encoder gives for their input.

    Args:
        encoder: that is said to have given the vectors.
        inputs: that the rows are of.
        rows: int64 [n], ascending.
        vectors: of each, as they are; float32 [n, d].
    """
    given = inputs.some(encoder, rows)
    with closing(LocalBackend(encoder, OPTIONS, usable_cores())) as backend:
        done = backend.encode([row.value for row in given])
    good = [at for at in range(len(given)) if at not in done.faults]
    same = [
        at
        for at, found in zip(good, done.vectors, strict=True)
        if deviation(found[np.newaxis], vectors[at][np.newaxis]) <= DIFFERENT
    ]
    return [int(row) for at, row in enumerate(rows) if at not in set(same)]
