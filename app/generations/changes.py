"""What may be asked of the controller, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reload:
    """Serve what is published and current now.

    Attributes:
        who: asks for it, for the audit.
        rereads: every file, of versions that stay as well.
    """

    who: str
    rereads: bool = True


@dataclass(frozen=True)
class Outcome:
    """What came of a change.

    Attributes:
        seconds: from its turn to its end.
        reason: why nothing has changed; None if it is done.
        refused: models that would have been worse than before, and why.
    """

    seconds: float
    reason: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
