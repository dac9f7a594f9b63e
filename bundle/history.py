"""history.jsonl: every change of what names of a model stand for, who made it, and what came of it.

    {"id", "at", "who", "alias", "before", "after"}       before anything is changed
    {"id", "seconds", "outcome", "reason"}                when it is done, or refused

Lines are only ever appended. A change whose second line is missing was interrupted: its process died. Half a
line, which a kill or a full disk may leave, ends where the next one begins, and is none.
"""

from __future__ import annotations

import getpass
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from bundle.disk import Disk
from bundle.errors import EncoderyError

HISTORY = "history.jsonl"
MOST_BYTES = 1 << 20  # that are read, from the end: some thousands of changes

Shares: TypeAlias = Mapping[str, int]
Outcome: TypeAlias = Literal["done", "refused", "failed", "interrupted"]


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        at: when it began, ISO 8601.
        who: the name of a key, of a user of the machine, or how the server was told.
        alias: what it is of; `current` is one.
        before, after: version to its share in percent; empty where the alias stands for nothing.
        seconds: that it took, with proving and loading where a server did these.
        outcome: `interrupted` until anything else is known.
        reason: why not, if it was not done.
    """

    id: str
    at: str
    who: str
    alias: str
    before: Shares
    after: Shares
    seconds: float | None = None
    outcome: Outcome = "interrupted"
    reason: str | None = None

    @classmethod
    def begun(cls, who: str | None, alias: str, before: Shares, after: Shares) -> Change:
        """One that begins now; by default the user of the machine makes it."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(uuid.uuid4().hex, at, who or user(), alias, dict(before), dict(after))


_BEGUN, _ENDED = ("id", "at", "who", "alias", "before", "after"), ("id", "seconds", "outcome", "reason")
_CHANGE = TypeAdapter(Change)


def user() -> str:
    """Who runs this process."""
    try:
        return f"user {getpass.getuser()}"
    except (OSError, KeyError):  # a container's user may have no name
        return "user"


@contextmanager
def recorded(directory: Path, disk: Disk, begun: Change, began_s: float) -> Iterator[None]:
    """Record that a change begins, and how the block ended.

    Args:
        directory: of the model.
        disk: where every change goes through.
        begun: the change.
        began_s: monotonic; when somebody asked for it.

    Raises:
        OSError: it cannot be recorded that it begins, so it does not.
    """
    _append(directory, disk, begun, _BEGUN)
    ended = replace(begun, outcome="done")
    try:
        yield
    except BaseException as error:
        told = str(error) if isinstance(error, EncoderyError) else getattr(error, "strerror", None)
        ended = replace(begun, outcome="failed", reason=told or type(error).__name__)
        raise
    finally:
        _record_end(directory, disk, ended, began_s)


def record_refused(directory: Path, disk: Disk, begun: Change, began_s: float, reason: str) -> None:
    """Record a change that was refused before it began, as far as the disk lets it."""
    with suppress(OSError):
        _append(directory, disk, begun, _BEGUN)
    _record_end(directory, disk, replace(begun, outcome="refused", reason=reason), began_s)


def _record_end(directory: Path, disk: Disk, ended: Change, began_s: float) -> None:
    with suppress(OSError):  # it is done, or the disk has failed already
        seconds = round(time.monotonic() - began_s, 3)
        _append(directory, disk, replace(ended, seconds=seconds), _ENDED)


def read_history(directory: Path) -> list[Change]:
    """The changes of a model, the newest first; none where there is no file."""
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(directory / HISTORY):
        with suppress(ValueError, TypeError, KeyError):
            content = json.loads(line)
            found.setdefault(content["id"], {}).update(content)
    changes: list[Change] = []
    for one in found.values():
        with suppress(ValidationError):  # its first line is missing, or was cut
            changes.append(_CHANGE.validate_python(one))
    return changes[::-1]


def _append(directory: Path, disk: Disk, change: Change, names: Sequence[str]) -> None:
    content = asdict(change)
    line = json.dumps({name: content[name] for name in names}, ensure_ascii=False)
    disk.append(directory / HISTORY, line.encode() + b"\n")


def _lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MOST_BYTES))
            return file.read().split(b"\n")
    except OSError:
        return []
