"""Inputs that are files: those that a table names, and those of a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import tabular
from bundle.preprocess.media import is_data_uri
from encodery.bulk.errors import BulkError

PATH = "path"  # the column of a folder
LARGEST_BYTES = 64 * 1024 * 1024  # of a file that is read


def content_of(value: object, folder: Path) -> object:
    """The bytes of the file that a path of the folder names; anything else as it is. Raises ValueError."""
    if not isinstance(value, str) or is_data_uri(value):
        return value
    try:
        with (folder / value).open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("the path is of no regular file")
            if status.st_size > LARGEST_BYTES:
                raise ValueError(f"the file has {status.st_size} bytes, the limit is {LARGEST_BYTES}")
            return file.read(LARGEST_BYTES)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None


def files_of(folder: Path) -> list[str]:
    """Paths of all files of a folder and those in it, sorted; without what is hidden. Raises BulkError."""
    found = list[str]()
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        here = Path(place).relative_to(folder)
        found += [(here / name).as_posix() for name in names if not name.startswith(".")]
    if not found:
        raise BulkError(f"{folder} has no files")
    return sorted(found)


def rows_of(folder: Path, columns: Sequence[str] | None) -> Iterator[tabular.Row]:
    """A row for each file of the folder."""
    for number, path in enumerate(files_of(folder), start=1):
        yield tabular.Row(f"{folder.name}, file", number, {PATH: path})


FOLDER = tabular.Format(rows_of, lambda folder: [PATH])


def state_of(source: Path) -> dict[str, int]:
    """What tells that a file, or what is in a folder, is another one."""
    places = [source / name for name in files_of(source)] if source.is_dir() else [source]
    found = [place.stat() for place in places]
    return {
        "bytes": sum(one.st_size for one in found),
        "modified": max(one.st_mtime_ns for one in found),
        **({"files": len(found)} if source.is_dir() else {}),
    }
