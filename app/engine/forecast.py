"""When work that arrives now would be done, and how far such forecasts may be trusted. Pure: no clock.

Encoders take turns, so work waits for as much of another encoder's as it is long itself, not for all of it:
who floods one model is refused, and who asks for another is not. Bulk work gets one batch in four while
interactive work waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from app.engine.pace import Priority

SHORTEST_S = 0.02  # forecasts below that tell of the machine's moods
KEPT, STEP, MOST = 0.95, 0.05, 8.0
BULK_SHARE = 3  # batches of interactive work for each of bulk work, while both wait


class Waiting(NamedTuple):
    """Work of one encoder and priority, in seconds of all workers together."""

    priority: Priority
    seconds: float


def wait_s(priority: Priority, own_s: float, ahead_s: float, others: Iterable[Waiting]) -> float:
    """Seconds until work of `own_s` is done, less those that it takes by itself.

    Args:
        priority: of the work.
        own_s: that it takes.
        ahead_s: of the same encoder and priority, which goes first.
        others: what waits for other encoders, or with the other priority.
    """
    line_s = ahead_s + own_s
    return ahead_s + sum(min(seconds, line_s * _turns(priority, other)) for other, seconds in others)


def _turns(own: Priority, other: Priority) -> float:
    """Batches of the other's for each of one's own."""
    if own == other:
        return 1.0
    return 1 / BULK_SHARE if own == "interactive" else float(BULK_SHARE)


@dataclass(slots=True)
class Trust:
    """How many times its forecast work may take: what nineteen in twenty of the last ones kept to.

    Forecasts err: batches take neighbours first, other work comes between, another process takes a core.
    Each one that was exceeded moves the factor up, each that was kept a nineteenth of that down, and it stays
    where both weigh the same (Robbins and Monro, 1951).
    """

    factor: float = 1.0

    def learn(self, forecast_s: float, took_s: float) -> None:
        """Compare a forecast with what came of it; infinite for work that was never done."""
        if forecast_s < SHORTEST_S:
            return
        is_exceeded = took_s > self.factor * forecast_s
        step = STEP * (KEPT if is_exceeded else KEPT - 1) * self.factor
        self.factor = min(max(self.factor + step, 1.0), MOST)
