"""Files to learn from, such as pictures or sounds, with labels and captions: from a folder or a table.

    shoes/left.jpg                                     a folder of folders: the folder's name is the label
    {"path": "shoes/left.jpg", "label": "shoe", "captions": ["a left shoe"]}      JSONL, Parquet, CSV

Paths of a table are relative to its folder. What the files hold is read by their kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabular import BadRows, column_names
from training.data.files import refuse_absent
from training.data.tables import as_config_error, good_rows
from training.errors import ConfigError

COLUMNS = ("path", "label", "captions")


@dataclass(frozen=True, slots=True)
class MediaExample:
    """A file with what is known of it.

    Attributes:
        place: for messages.
        label: its class; None if it has none.
        captions: texts that say what it is, the best one first.
    """

    path: Path
    place: str
    label: str | None
    captions: tuple[str, ...]

    def content(self) -> bytes:
        """The file. Raises ConfigError."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.place}: {self.path.name} cannot be read: {error.strerror}") from None


def read_media(directory: Path, sources: Sequence[str], bad: BadRows) -> list[MediaExample]:
    """All examples of some folders and tables, in order. Raises ConfigError."""
    found = list[MediaExample]()
    for source in sources:
        path = directory / source
        refuse_absent(path)
        before = len(found)
        found += _of_folder(path) if path.is_dir() else _of_table(path, bad)
        if len(found) == before:
            raise ConfigError(f"{path} has no examples")
    return found


def media_sha256(examples: Sequence[MediaExample]) -> str:
    """One digest over files, labels and captions."""
    digest = hashlib.sha256()
    for one in examples:
        digest.update(hashlib.sha256(one.content()).digest())
        digest.update(json.dumps([one.label, one.captions]).encode())
    return digest.hexdigest()


def _of_folder(folder: Path) -> Iterator[MediaExample]:
    """Files of folders in the folder; what is hidden is left out."""
    for path in sorted(folder.glob("*/**/*")):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            yield MediaExample(path, f"{folder.name}/{'/'.join(parts)}", parts[0], (parts[0],))


def _of_table(table: Path, bad: BadRows) -> Iterator[MediaExample]:
    with as_config_error():
        names = column_names(table)
    columns = [name for name in COLUMNS if name in names or name == "path"]
    for row in good_rows(table, columns, bad, may_lack=True):
        path, label, captions = (row.content.get(name) for name in COLUMNS)
        if not isinstance(path, str) or not path:
            raise ConfigError(f"{row.place}: path is no text; it names a file beside {table.name}")
        known = None if label is None else str(label)
        yield MediaExample(table.parent / path, row.place, known, _captions(captions, known, row.place))


def _captions(value: Any, label: str | None, place: str) -> tuple[str, ...]:
    """A list of texts, or one text; where there is none, the label says what it is."""
    if value is None:
        return () if label is None else (label,)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ConfigError(f"{place}: captions is a text or a list of texts, none of them empty")
    return tuple(dict.fromkeys(texts))
