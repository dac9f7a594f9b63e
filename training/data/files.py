"""Where the files of a config are, what is in them as a whole, and those of the suite as text."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Sequence
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


def files_sha256(directory: Path, paths: Sequence[str]) -> str:
    """One digest over the content of several files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        refuse_absent(directory / path)
        with (directory / path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
