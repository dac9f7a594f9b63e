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

from bundle.errors import InputError
from bundle.progress import Progress
from training.errors import ConfigError
from training.text.suite.subjects import Subject
from training.text.suite.task import Floats
from training.text.teacher import CachedTeacher

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
        found = np.array(self.vectors[[self.rows[text] for text in texts], :dim], dtype=np.float32)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(norms, np.finfo(np.float32).tiny), dtype=np.float32)


@contextmanager
def encoded(subject: Subject, texts: Iterable[str], cache: Path) -> Iterator[Table]:
    """The vectors of all distinct texts, as long as the context lasts.

    Args:
        subject: what encodes them.
        texts: may repeat themselves.
        cache: where a teacher's vectors are kept for good.
    """
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
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
        vectors[there] = CachedTeacher(subject.teacher, cache).vectors([texts[row] for row in there], label)
        return
    with Progress(total=len(there), label=label, unit="texts") as progress:
        for start in range(0, len(there), CHUNK):
            rows = there[start : start + CHUNK]
            vectors[rows] = _encode(subject, [texts[row] for row in rows])
            progress.advance(len(rows))


def _encode(subject: Subject, texts: list[str]) -> Floats:
    try:
        return subject.encode(texts)
    except InputError as error:
        raise ConfigError(
            f"{subject.name} cannot encode {texts[error.index][:60]!r}: {error.reason}"
        ) from None


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
