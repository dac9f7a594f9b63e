"""What the audit tells of callers that were refused: a line at once, then one a minute with how often.

What was counted and not told yet is told when its minute is over, or the server ends.

Whoever tries keys must not fill the log, nor the memory: clients beyond MOST_CLIENTS, and lines beyond
LINES_PER_S, are counted together and told with the next line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.access.rates import Bucket
from app.shared.audit import audit

AGAIN_S = 60.0  # between lines about the same client and reason
MOST_CLIENTS = 1024
LINES_PER_S = 10.0
LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class _Told:
    """When there was a line about a client, and how often it was refused since, and at which route last."""

    at_s: float
    since: int = 0
    route: str = ""


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
            told.since, told.route = told.since + 1, route
            return
        if self._lines.lacks_s(1):
            self._untold += 1
            return
        self._tell(who, route, 1 + (told.since if told else 0))
        if len(self._told) > MOST_CLIENTS:
            self._untold += self._told.pop(next(iter(self._told))).since

    async def watch(self) -> None:
        """Tell for ever what is due."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.tell_due()

    def tell_due(self) -> None:
        """Tell of those that were counted for a minute, and forget those that did not come back."""
        for who, told in list(self._told.items()):
            if self._clock() < told.at_s + AGAIN_S or (told.since and self._lines.lacks_s(1)):
                return
            if told.since:
                self._tell(who, told.route, told.since)
            else:
                del self._told[who]

    def tell_all(self) -> None:
        """Tell whatever was counted, since the server ends."""
        for who, told in list(self._told.items()):
            if told.since and self._lines.lacks_s(1):
                self._untold += told.since
            elif told.since:
                self._tell(who, told.route, told.since)
        self._told.clear()
        if self._untold:
            self._tell(("", "", "several"), "", 0)

    def _tell(self, who: tuple[str, str, str], route: str, times: int) -> None:
        """Write the line, with those that had none."""
        client, caller, reason = who
        self._lines.spend(1)
        self._told.pop(who, None)
        self._told[who] = _Told(self._clock())
        more = {"more_of_others": self._untold} if self._untold else {}
        self._untold = 0
        audit("access.refused", caller, client=client, reason=reason, route=route, times=times, **more)
