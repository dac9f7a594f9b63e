"""Text files, plain or gzipped, line by line; what cannot be read is named with the file and the line."""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO, cast

from training.errors import ConfigError


def data_directory(given: Path | None) -> Path:
    """The directory where the paths of a config start."""
    return given or Path(os.environ.get("ENCODERY_DATA") or "data")


def open_text(path: Path) -> TextIO:
    """A text file, unpacked if it is gzipped. Raises ConfigError if it is not there."""
    refuse_absent(path)
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", encoding="utf-8-sig", newline=""))
    return path.open(encoding="utf-8-sig", newline="")  # a spreadsheet's mark at the start is no text


def refuse_absent(path: Path) -> None:
    """Raises ConfigError if the file is not there."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; say where the data is by --data or ENCODERY_DATA")


def lines(path: Path) -> Iterator[str]:
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


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The number of a row's last line, and its fields; blank lines left out. Raises ConfigError."""
    rows = csv.reader(lines(path))
    try:
        yield from ((rows.line_num, row) for row in rows if row)
    except csv.Error as error:
        raise ConfigError(f"{path.name}, line {rows.line_num}: {error}") from None


def files_sha256(directory: Path, paths: Sequence[str]) -> str:
    """One digest over the content of several files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        refuse_absent(directory / path)
        with (directory / path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
