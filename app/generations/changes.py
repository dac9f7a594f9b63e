"""What may be asked of the controller, and what came of it; as JSON, too, for it may live elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import TypeAdapter

from bundle.history import Shares

Code: TypeAlias = Literal[
    "done",
    "not_sound",
    "not_published",
    "not_valid",
    "no_alias",
    "in_use",
    "space_change",
    "alias_changed",
    "failed",
]


@dataclass(frozen=True)
class Reload:
    """Serve what is published and current now.

    Attributes:
        who: asks for it, for the audit.
        rereads: every file, of versions that stay as well.
    """

    who: str
    rereads: bool = True
    does: Literal["reload"] = "reload"


@dataclass(frozen=True)
class Load:
    """Load a version, with those it was published with; by default what is current on the disk now."""

    who: str
    model: str
    version: str | None = None
    does: Literal["load"] = "load"


@dataclass(frozen=True)
class Unload:
    """Unload a version, or a model as a whole, with those it was published with."""

    who: str
    model: str
    version: str | None = None
    does: Literal["unload"] = "unload"


@dataclass(frozen=True)
class SetAlias:
    """Let an alias stand for something else.

    Attributes:
        shares: version to percent; nothing to remove the alias.
        seen: the tag that it must have: `bundle.switching`.
        new_space: vectors under this name may be of another space than before.
    """

    who: str
    model: str
    alias: str
    shares: Shares
    seen: str | None = None
    new_space: bool = False
    does: Literal["set_alias"] = "set_alias"


AnyChange: TypeAlias = Reload | Load | Unload | SetAlias


@dataclass(frozen=True)
class Outcome:
    """What came of a change.

    Attributes:
        seconds: from its turn to its end.
        code: why nothing has changed, for programs; `done` if it has.
        reason: the same for people.
        refused: models that would have been worse than before, and why.
    """

    seconds: float
    code: Code = "done"
    reason: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)


class ChangeRefusedError(Exception):
    """A change is not made; the message says why."""

    def __init__(self, code: Code, reason: str, refused: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.code, self.refused = code, dict(refused or {})


_CHANGE: TypeAdapter[AnyChange] = TypeAdapter(AnyChange)
_OUTCOME = TypeAdapter(Outcome)


def change_to_json(change: AnyChange) -> bytes:
    """For another process; one line."""
    return _CHANGE.dump_json(change)


def change_from_json(content: bytes) -> AnyChange:
    """What `change_to_json` gave. Raises ValueError."""
    return _CHANGE.validate_json(content)


def outcome_to_json(outcome: Outcome) -> bytes:
    """For another process; one line."""
    return _OUTCOME.dump_json(outcome)


def outcome_from_json(content: bytes) -> Outcome:
    """What `outcome_to_json` gave. Raises ValueError."""
    return _OUTCOME.validate_json(content)
