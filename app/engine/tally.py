"""What the engines of several processes tell each other, so that the limits hold for all together."""

from __future__ import annotations

from typing import Protocol


class Tally(Protocol):
    """One engine's place among them."""

    def put(self, items: int, cost: int) -> None:
        """Say what this engine has in work, and the cost that waits in it."""
        ...

    def beside(self) -> tuple[int, int]:
        """The same of all others."""
        ...
