"""What the engines of several processes tell each other, so that the limits hold for all together."""

from __future__ import annotations

from typing import Protocol


class SharedLoad(Protocol):
    """The load of all engines, as one of them sees it."""

    def publish(self, items: int, cost: int) -> None:
        """Tell the others what this engine has in work, and the cost that waits in it."""
        ...

    def others(self) -> tuple[int, int]:
        """Return what the others have together: items in work, and the cost that waits."""
        ...
