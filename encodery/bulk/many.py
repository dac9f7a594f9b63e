"""Encodes what IN stands for: one file, or each table of a directory, those that are done left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from encodery.bulk.command import Summary
from encodery.bulk.errors import BulkError
from encodery.bulk.places import Place, are_directories, is_there, pairs, passed, place_of, space_of

DEFAULT = "parquet"  # of the files in a directory


def encoded(
    source: str, out: str, form: str | None, work: Path, encode: Callable[[Path, Path], Summary]
) -> Iterator[tuple[Place, Summary | None]]:
    """Yield each OUT with what came of it; None where it was there, as after a run that was stopped.

    Args:
        source: address of IN.
        out: address of OUT.
        form: `parquet`, `npy` or `jsonl`, for a directory.
        work: directory of this machine for files of a bucket.
        encode: a file to what came of it.

    Raises:
        EncoderyError: of `encode`; the addresses do not fit each other, or a directory would have vectors of
            two spaces.
    """
    source_at, out_at = place_of(source), place_of(out)
    if not are_directories(source, out):
        if form is not None:
            raise BulkError("--format is for a directory OUT; the name of a file says its format")
        yield out_at, passed(source_at, out_at, work, encode)
        return
    space = ""
    for table, vectors in pairs(source_at, out_at, f".{form or DEFAULT}"):
        summary = None if is_there(vectors) else passed(table, vectors, work, encode)
        space = _checked(space, summary.meta["space"] if summary else space_of(vectors), vectors)
        yield vectors, summary


def _checked(before: str, space: str, out: Place) -> str:
    """The space of all. Raises BulkError where this file has another one."""
    if before and space != before:
        raise BulkError(
            f"{out} has vectors of the space {space or 'unknown'}, those before it of {before}, which do not "
            "compare; give another directory OUT, or remove those files"
        )
    return space
