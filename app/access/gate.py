"""Finds who asks, by a secret: of a file of keys, which may change while the server runs, or of a setting."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from app.access.keys import ANYBODY, NO_LIMITS, Key, KeyRing, KeysError, parse_keys
from app.access.rates import KeyRates
from app.access.refusals import Refusals
from app.shared.audit import audit
from app.shared.rate_table import RateTable
from app.shared.watched import WatchedFile

SETTING = "default"  # the name of the key that a setting gives
STAY = "the keys from before stay"
BY_FILE, BY_SETTING = "file of keys", "ENCODERY_API_KEY"  # who changes keys, as the audit has it


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """Who asks, and what he has spent; None where nothing is counted."""

    key: Key = ANYBODY
    rates: KeyRates | None = None


NOBODY = Caller()  # in particular: who asks where there are no keys
CALLER: ContextVar[Caller] = ContextVar("caller", default=NOBODY)  # of the request that this task answers


class Gate:
    """The callers of a server.

    Args:
        file: of keys; `look` reads it again when it has changed, and `watch` looks for ever.
        secret: one more key, which may do everything.
        table: where spending is counted; by default in this process alone.
        clock: seconds; monotonic.
        copy: where processes that serve together keep the file as it was when it was good. One that takes a
            dead one's place while the file is broken goes on with that.

    Attributes:
        refusals: tells the audit of callers that were refused.

    Raises:
        ValueError: the file cannot be used. If it changes so later, or is gone, the keys from before stay,
            and the log says why.
    """

    def __init__(
        self,
        file: Path | None,
        secret: str | None,
        table: RateTable | None = None,
        clock: Callable[[], float] = time.monotonic,
        copy: Path | None = None,
    ) -> None:
        self._clock, self._table = clock, table or RateTable()
        self._fixed = [Key(SETTING, (hashlib.sha256(secret.encode()).digest(),))] if secret else []
        self._file = WatchedFile(file, self._parse, _tell_refused, copy) if file else None
        self.refusals = Refusals(clock)
        self._callers: dict[str, Caller] = {}
        self._ring = KeyRing()
        self._use(self._file.first() if self._file else self._fixed)

    def find(self, secrets: Sequence[bytes]) -> Caller | None:
        """The caller with this secret; None for nobody's, for one that expired, and for several at once."""
        if len(secrets) != 1 or (key := self._ring.find(secrets[0])) is None or not key.is_good(time.time()):
            return None
        return self._callers[key.name]

    async def watch(self) -> None:
        """Look for ever; the file is read off the event loop."""
        if self._file is not None:
            await self._file.watch(self._use)

    def look(self) -> None:
        """Read the file again if it has changed."""
        if self._file is not None and (keys := self._file.changed()) is not None:
            self._use(keys)

    def look_again(self) -> None:
        """Read the file at the next look, whether or not it seems to have changed."""
        if self._file is not None:
            self._file.look_again()

    def still_has(self, caller: Caller) -> bool:
        """Tell whether a caller who was found before has a key yet, if perhaps with other limits."""
        if (now := self._callers.get(caller.key.name)) is None or not now.key.is_good(time.time()):
            return False
        return not set(now.key.digests).isdisjoint(caller.key.digests)

    def _parse(self, content: bytes, where: str) -> list[Key]:
        keys = [*self._fixed, *parse_keys(content, where)]
        if len({key.name for key in keys}) < len(keys):
            raise KeysError(f'{where}: "{SETTING}" is what the key of ENCODERY_API_KEY is called')
        return keys

    def _use(self, keys: Sequence[Key]) -> None:
        """Answer to these keys from now on; what a key has spent is kept as long as its limits are."""
        before = self._callers
        self._ring = KeyRing(keys)
        self._callers = {key.name: self._caller(key, before.get(key.name)) for key in keys}
        caller = BY_FILE if self._file else BY_SETTING
        audit("keys.read", caller, **_changes({name: one.key for name, one in before.items()}, keys))

    def _caller(self, key: Key, before: Caller | None) -> Caller:
        if key.limits == NO_LIMITS:
            return Caller(key)
        if before is not None and before.rates is not None and before.key.limits == key.limits:
            return Caller(key, before.rates)
        return Caller(key, KeyRates(key.name, key.limits, self._table, self._clock))


def _changes(before: Mapping[str, Key], keys: Sequence[Key]) -> dict[str, list[str]]:
    """The names of keys that came, went, or are not as they were."""
    now = {key.name: key for key in keys}
    changed = [name for name in now if name in before and now[name] != before[name]]
    found = {"added": now.keys() - before.keys(), "removed": before.keys() - now.keys(), "changed": changed}
    return {how: sorted(names) for how, names in found.items()}


def _tell_refused(reason: str) -> None:
    audit("keys.refused", BY_FILE, reason=reason, outcome=STAY)
