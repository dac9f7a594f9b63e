"""Where the files of a config are, their digest, and plain text of them line by line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tabular import DataError, Lines
from training.errors import ConfigError


def data_directory(given: Path | None) -> Path:
    """The directory where the paths of a config start."""
    return given or Path(os.environ.get("ENCODERY_DATA") or "data")


class TextLines:
    """The lines of a text file, one after the other; see `open_text`."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path, is_table=False)
        self._iterator = enumerate(iter(self._lines), start=1)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            number, line = next(self._iterator)
        except DataError as error:
            raise ConfigError(str(error)) from None
        if fault := self._lines.faults and self._lines.fault(number, number):
            raise ConfigError(f"{self._lines.name}, line {number}: {fault}")
        return line

    def readline(self) -> str:
        """The next line, or "" at the end."""
        return next(self, "")


@contextmanager
def open_text(path: Path) -> Iterator[TextLines]:
    """A text file, unpacked if it is gzipped, as the sets of a suite are.

    Raises:
        ConfigError: it is not there; and on iteration, with file and line, for what is no UTF-8.
    """
    refuse_absent(path)
    yield TextLines(path)


def refuse_absent(path: Path) -> None:
    """Raises ConfigError if the file is not there."""
    if not path.exists():
        raise ConfigError(f"{path} does not exist; say where the data is by --data or ENCODERY_DATA")


def files_sha256(directory: Path, paths: Sequence[str]) -> str:
    """One digest over the content of several files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        refuse_absent(directory / path)
        with (directory / path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
