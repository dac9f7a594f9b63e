"""What was asked for at the start and could not be had, for whoever asks how the server is.

The server serves all the same. Of several processes that serve, the one that started them writes it down.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

FILE = "unmet.json"


class Unmet(BaseModel):
    """One expectation that is not met.

    Attributes:
        setting: the variable that it comes from.
        reason: why not.
    """

    setting: str
    reason: str


_LIST = TypeAdapter(list[Unmet])


def write(found: Sequence[Unmet], directory: Path) -> None:
    """Tell the processes that share the directory."""
    (directory / FILE).write_bytes(_LIST.dump_json(list(found)))


def read(directory: Path) -> list[Unmet]:
    """What `write` told."""
    return _LIST.validate_json((directory / FILE).read_bytes())
