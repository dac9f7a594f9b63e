"""What the audit tells of callers that were refused: a line at once, then one a minute with how often.

Whoever tries keys must not fill the log, nor the memory: clients beyond MOST_CLIENTS, and lines beyond
LINES_PER_S, are counted together and told with the next line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access.rates import Bucket
from app.shared.audit import audit

AGAIN_S = 60.0  # between lines about the same client and reason
MOST_CLIENTS = 1024
LINES_PER_S = 10.0


@dataclass(slots=True)
class _Told:
    """When there was a line about a client, and how often it was refused since."""

    at_s: float
    since: int = 0


class Refusals:
    """Decides which refusals get a line.

    Args:
        clock: seconds; monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str, str], _Told] = {}  # the one told longest ago first
        self._lines = Bucket(LINES_PER_S, clock)
        self._untold = 0

    def note(self, *, client: str, caller: str, reason: str, route: str) -> None:
        """Count a refusal, and tell the audit of it if it is time to.

        Args:
            client: its address.
            caller: the name of its key; empty for a key that is nobody's.
            reason: the code of the error.
            route: as it was declared.
        """
        who, now_s = (client, caller, reason), self._clock()
        told = self._told.get(who)
        if told is not None and now_s < told.at_s + AGAIN_S:
            told.since += 1
            return
        if self._lines.lacks_s(1):
            self._untold += 1
            return
        self._lines.spend(1)
        self._told.pop(who, None)
        self._told[who] = _Told(now_s)
        if len(self._told) > MOST_CLIENTS:
            self._untold += self._told.pop(next(iter(self._told))).since
        more = {"more_of_others": self._untold} if self._untold else {}
        times = 1 + (told.since if told else 0)
        audit("access.refused", caller, client=client, reason=reason, route=route, times=times, **more)
        self._untold = 0
