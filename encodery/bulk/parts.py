"""The work done so far: OUT.partial/, with job.json and one part per range of input rows.

A part is three files; the vectors come last, by rename, so where they are the rest is. Parts that do not
join on to each other can only come from somebody else, and are refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from encodery.bulk.errors import BulkError

JOB, LOCK = "job.json", "lock"
_NAME = re.compile(r"(\d{12})-(\d{12})\.npy")


@dataclass(frozen=True)
class Part:
    """The output of the rows from `start` up to `end`.

    Attributes:
        vectors: .npy, float32 [good, dim].
        kept: .jsonl, one object per good row, with its number as `row`.
        bad: .jsonl, one object per bad row.
    """

    start: int
    end: int
    vectors: Path
    kept: Path
    bad: Path

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read what was kept of the good rows, in order."""
        with self.kept.open() as file:
            yield from map(json.loads, file)

    def bad_rows(self) -> Iterator[dict[str, Any]]:
        """Read what was set aside, in order."""
        with self.bad.open() as file:
            yield from map(json.loads, file)


@dataclass(frozen=True)
class Parts:
    """The directory of a run.

    Attributes:
        first: row of the input that the run begins with.
    """

    directory: Path
    first: int = 0

    def begin(self, job: Mapping[str, Any]) -> None:
        """Write down what is being done, or see that it is the same. Raises BulkError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / JOB
        if path.exists():
            begun = self.job()
            if differing := sorted(name for name in job if begun.get(name) != job[name]):
                raise BulkError(
                    f"{self.directory} was begun with another {', '.join(differing)}; "
                    "give the same command to go on, or remove it to begin anew"
                )
            return
        _write(path, json.dumps(dict(job), indent=1).encode())

    def job(self) -> dict[str, Any]:
        """Read what was begun; empty if nothing was."""
        path = self.directory / JOB
        return dict(json.loads(path.read_bytes())) if path.exists() else {}

    def all(self) -> list[Part]:
        """List the parts, in order. Raises BulkError if one is missing between them."""
        found = sorted(
            filter(None, map(_NAME.fullmatch, os.listdir(self.directory))), key=lambda name: name[0]
        )
        parts = [self._part(int(name[1]), int(name[2])) for name in found]
        for before, after in zip([None, *parts], parts, strict=False):
            if after.start != (before.end if before else self.first):
                raise BulkError(f"{self.directory} lacks rows before {after.start}; remove it to begin anew")
        return parts

    def add(
        self,
        start: int,
        end: int,
        vectors: npt.NDArray[np.float32],
        kept: Sequence[Mapping[str, Any]],
        bad: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write one part: there whole, or not at all."""
        part = self._part(start, end)
        _write(part.kept, _jsonl(kept))
        _write(part.bad, _jsonl(bad))
        temporary = part.vectors.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(part.vectors)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other run from writing the same output. Raises BulkError."""
        import fcntl

        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise BulkError(f"another run is writing to {self.directory}") from None
            yield

    def _part(self, start: int, end: int) -> Part:
        stem = self.directory / f"{start:012d}-{end:012d}"
        return Part(
            start, end, *(stem.with_suffix(suffix) for suffix in (".npy", ".kept.jsonl", ".bad.jsonl"))
        )


def _jsonl(objects: Sequence[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(one, default=_shown) + "\n" for one in objects).encode()


def _shown(value: Any) -> str:
    """What JSON does not have: of bytes their number, since a picture need not be read twice."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
