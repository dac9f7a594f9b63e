"""Files of vectors as `encodery encode` writes them, read in blocks: .npy, .parquet and .jsonl.

Their metadata say of which space they are: OUT.meta.json, or Parquet's own. Where there are none, somebody
must say it. A file that does not agree with itself is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from bundle.neighbours import Floats
from encodery.bulk.outputs import EMBEDDING, ROW, TRUNCATED, WARNINGS, beside
from encodery.spaces.errors import SpaceError

ROWS = 4096  # of a block
SPACE = "space"  # a column of files whose rows are of several spaces
_PREFIX = "encodery."


@dataclass(frozen=True)
class Block:
    """Rows of a file.

    Attributes:
        vectors: float32 [n, d].
        kept: what else the file says of each, `row` among it.
    """

    vectors: Floats
    kept: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class VectorFile:
    """A file of vectors, its metadata checked.

    Attributes:
        meta: of OUT.meta.json; empty if there are none.
        space: of its vectors.
        rows: how many there are.
        dim: of each.
    """

    path: Path
    meta: Mapping[str, Any]
    space: str
    rows: int
    dim: int

    @classmethod
    def open(cls, path: Path, space: str | None = None) -> VectorFile:
        """Read the metadata, or take the space that is given where there are none. Raises SpaceError."""
        if path.suffix not in _READERS:
            raise SpaceError(f"{path.name}: vectors are read from {', '.join(_READERS)}")
        path.stat()  # one that is not there is told of by its name
        with _readable(path):
            meta = _metadata(path)
        told = meta.get("space")
        if told is None and space is None:
            raise SpaceError(
                f"{path.name} has no {beside(path, '.meta.json').name}, so that nobody knows of which space "
                "its vectors are; if you do, say it by --space"
            )
        if None not in (told, space) and told != space:
            raise SpaceError(f"{path.name} is of the space {told} by its metadata, not of the one you say")
        with _readable(path):
            first, rows = next(iter(_READERS[path.suffix](path)), None), _count(path)
        dim = 0 if first is None else first.vectors.shape[1]
        found = cls(path, meta, str(told or space), rows, dim)
        found._agree()
        return found

    def blocks(self) -> Iterator[Block]:
        """All rows, in order. Raises SpaceError for a row that is none."""
        for block in _whole(self.path):
            if block.vectors.shape[1] != self.dim or not np.isfinite(block.vectors).all():
                raise SpaceError(
                    f"{self.path.name}: among the rows from {block.kept[0][ROW]} on are vectors that are not "
                    f"{self.dim} finite numbers"
                )
            yield block

    def _agree(self) -> None:
        if self.rows == 0:
            raise SpaceError(f"{self.path.name} has no rows")
        for name, value in (("rows", self.rows), ("dim", self.dim)):
            if self.meta.get(name, value) != value:
                raise SpaceError(
                    f"{self.path.name} has {value:,} {name}, its metadata say {self.meta[name]!s:.20}: it "
                    "was changed, or joined with another, after it was written"
                )

    def foreign_rows(self) -> list[int]:
        """Row numbers whose own column says another space than the metadata."""
        return [
            row[ROW]
            for block in self.blocks()
            for row in block.kept
            if row.get(SPACE, self.space) != self.space
        ]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say of what a reader's library throws at a damaged file that it is one. Raises SpaceError."""
    try:
        yield
    except (ValueError, EOFError, OSError) as error:  # pyarrow's ArrowInvalid is a ValueError
        if isinstance(error, OSError) and error.errno is not None:  # the disk's own affair
            raise
        raise SpaceError(
            f"{path.name} cannot be read as {path.suffix}: it was cut or changed after it was written"
        ) from None


def _whole(path: Path) -> Iterator[Block]:
    """All blocks of a file. Raises SpaceError for a damaged one."""
    blocks = _READERS[path.suffix](path)
    while True:
        with _readable(path):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _metadata(path: Path) -> dict[str, Any]:
    """What the file next to it says, or Parquet itself; both must agree. Raises SpaceError."""
    found: dict[str, Any] = {}
    told: Any = None
    if (file := beside(path, ".meta.json")).exists():
        with suppress(ValueError):
            told = json.loads(file.read_bytes())
        if not isinstance(told, dict):
            raise SpaceError(f"{file.name} is no JSON object; encode the file again")
        found = told
    if path.suffix != ".parquet":
        return found
    own = _parquet_metadata(path)
    if found and own and found.get("space") != own.get("space"):
        raise SpaceError(f"{path.name} and {file.name} say different spaces; one of them is of another file")
    return found or own


def _parquet_metadata(path: Path) -> dict[str, Any]:
    from pyarrow import parquet

    found: dict[str, Any] = {}
    for key, value in (parquet.read_schema(path).metadata or {}).items():
        if key.decode().startswith(_PREFIX):
            name, text = key.decode().removeprefix(_PREFIX), value.decode()
            try:
                found[name] = json.loads(text)
            except ValueError:
                found[name] = text
    # What is written as text may read as a number: a version "4".
    return found | {name: str(found[name]) for name in ("version", "model", "space") if name in found}


def _count(path: Path) -> int:
    if path.suffix == ".npy":
        return len(np.load(path, mmap_mode="r", allow_pickle=False))
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return int(parquet.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _npy(path: Path) -> Iterator[Block]:
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise SpaceError(f"{path.name} holds {vectors.dtype} of {vectors.ndim} axes; expected float32 [n, d]")
    rows_file = beside(path, ".rows.npy")
    rows = np.load(rows_file, allow_pickle=False) if rows_file.exists() else np.arange(len(vectors))
    if len(rows) != len(vectors):
        raise SpaceError(f"{rows_file.name} has {len(rows):,} rows, {path.name} {len(vectors):,}")
    for start in range(0, len(vectors), ROWS):
        numbers = rows[start : start + ROWS].tolist()
        yield Block(
            np.array(vectors[start : start + ROWS]), [_kept({ROW: number}, number) for number in numbers]
        )


def _jsonl(path: Path) -> Iterator[Block]:
    with path.open("rb") as file:
        lines = (line for line in file if line.strip())
        start = 0
        while some := list(islice(lines, ROWS)):
            rows = [_object(path, start + at, line) for at, line in enumerate(some)]
            yield _block(path, rows, start)
            start += len(rows)


def _parquet(path: Path) -> Iterator[Block]:
    from pyarrow import parquet

    start = 0
    with parquet.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(ROWS):
            rows = batch.to_pylist()
            yield _block(path, rows, start)
            start += len(rows)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = None
    if not isinstance(row, dict):
        raise SpaceError(f"{path.name}: line {number + 1} is no JSON object")
    return row


def _block(path: Path, rows: Iterable[dict[str, Any]], start: int) -> Block:
    vectors, kept = list[Any](), list[dict[str, Any]]()
    for number, row in enumerate(rows, start):
        vectors.append(row.pop(EMBEDDING, None))
        kept.append(_kept(row, number))
    try:
        return Block(np.array(vectors, np.float32).reshape(len(kept), -1), kept)
    except (TypeError, ValueError):
        raise SpaceError(
            f"{path.name}: among the {len(kept)} rows from {start} on is one without a vector in "
            f"{EMBEDDING!r}, or one of another length"
        ) from None


def _kept(row: dict[str, Any], number: int) -> dict[str, Any]:
    """The row with the columns that every output has; what is not known is null."""
    told = row.get(WARNINGS) or {}
    warnings = {name: value for name, value in told.items() if value is not None}
    return {ROW: number, TRUNCATED: None} | row | {WARNINGS: warnings}


_READERS: Mapping[str, Callable[[Path], Iterator[Block]]] = {
    ".npy": _npy,
    ".parquet": _parquet,
    ".jsonl": _jsonl,
}
