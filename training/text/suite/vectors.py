"""Vectors of a subject: every distinct text encoded once, kept on disk, read back at any length.

What is in memory is the texts and what a task asks for; the table lies in a temporary file.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.progress import Progress
from training.errors import ConfigError, VectorError
from training.text.suite.splits import in_fixed_order
from training.text.suite.subjects import Subject
from training.text.suite.task import Floats
from training.text.teacher_cache import CachedTeacher

Ints = npt.NDArray[np.int64]

CHUNK = 4096
SPEED_TEXTS, SPEED_S = 512, 2.0


@dataclass(frozen=True)
class Table:
    """float32 [n, dim] on disk, and the row of every text.

    Attributes:
        seconds: how long the encoding took; a teacher's kept vectors take none.
    """

    rows: dict[str, int]
    vectors: Floats
    seconds: float

    def at(self, texts: Sequence[str], dim: int) -> Floats:
        """The first `dim` dimensions, L2-normalised; 0 for a blank text. float32 [n, dim]."""
        found = np.array(self.vectors[[self.rows[text] for text in texts], :dim], dtype=np.float64)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(norms > 0, norms, 1.0), dtype=np.float32)

    def zeros(self, dim: int) -> int:
        """How many texts have a vector of 0 at this length: blank ones, and those of no known word."""
        starts = range(0, len(self.rows), CHUNK)
        return sum(int((~self.vectors[start : start + CHUNK, :dim].any(axis=1)).sum()) for start in starts)


@contextmanager
def encoded(subject: Subject, texts: Iterable[str], cache: Path) -> Iterator[Table]:
    """The vectors of all distinct texts, as long as the context lasts.

    They are encoded in an order that no file has: a question does not come where its answer does.

    Args:
        subject: what encodes them.
        texts: may repeat themselves.
        cache: where a teacher's vectors are kept for good.

    Raises:
        ConfigError: a text cannot be encoded.
        VectorError: a vector is not finite, or there are not as many as texts.
    """
    distinct = list(dict.fromkeys(texts))
    rows = {distinct[place]: row for row, place in enumerate(in_fixed_order(distinct))}
    with tempfile.TemporaryFile() as file:
        shape = max(1, len(rows)), subject.dim
        vectors = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
        started = time.perf_counter()
        _fill(vectors, subject, list(rows), cache)
        yield Table(rows, vectors, time.perf_counter() - started)


def _fill(vectors: Floats, subject: Subject, texts: list[str], cache: Path) -> None:
    label = f"{subject.name}/{subject.version}"
    there = np.array([row for row, text in enumerate(texts) if text.strip()], dtype=np.int64)  # others stay 0
    if subject.teacher is not None:
        kept = CachedTeacher(subject.teacher, cache).vectors([texts[row] for row in there], label)
        vectors[there] = _sound(kept, subject, there)
        return
    with Progress(total=len(there), label=label, unit="texts") as progress:
        for start in range(0, len(there), CHUNK):
            rows = there[start : start + CHUNK]
            vectors[rows] = _sound(_encode(subject, [texts[row] for row in rows]), subject, rows)
            progress.advance(len(rows))


def _encode(subject: Subject, texts: list[str]) -> Floats:
    try:
        return subject.encode(texts)
    except InputError as error:
        raise ConfigError(
            f"{subject.name} cannot encode {texts[error.index][:60]!r}: {error.reason}"
        ) from None


def _sound(found: npt.NDArray[np.floating], subject: Subject, texts: Ints) -> npt.NDArray[np.floating]:
    """The vectors, if they are one for each text, of the right length, and finite."""
    who, shape = f"{subject.name}/{subject.version}", (len(texts), subject.dim)
    if found.shape != shape:
        raise VectorError(
            f"{who} gave vectors of shape {found.shape} for {shape[0]} texts of {shape[1]} dimensions"
        )
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise VectorError(
            f"{who}: the vector of text {texts[bad[0]]} is not finite (NaN or infinity), and those of "
            f"{len(bad) - 1:,} others among {len(texts):,}; nothing can be measured with it"
        )
    return found


def speed(subject: Subject, texts: Sequence[str]) -> float:
    """Texts per second on a fixed sample of the texts, the best of several passes within SPEED_S."""
    distinct = sorted({text for text in texts if text.strip()})
    random = np.random.default_rng(0)
    sample = [distinct[row] for row in random.permutation(len(distinct))[:SPEED_TEXTS]]
    best, until = float("inf"), time.perf_counter() + SPEED_S
    while best == float("inf") or time.perf_counter() < until:
        started = time.perf_counter()
        subject.encode(sample)
        best = min(best, time.perf_counter() - started)
    return len(sample) / best
