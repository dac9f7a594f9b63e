"""Finds who asks, by a secret: of a file of keys, which may change while the server runs, or of a setting."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.access.keys import ANYBODY, Key, KeyRing, KeysError, read_keys
from app.access.rates import KeyRates

LOOK_EVERY_S = 1.0
SETTING = "default"  # the name of the key that a setting gives

log = structlog.get_logger("encodery")


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
        file: of keys; looked at again when it has changed.
        secret: one more key, which may do everything.
        clock: seconds; monotonic.

    Raises:
        KeysError: the file cannot be used. If it changes so later, the keys from before stay, and the log
            says why.
    """

    def __init__(
        self, file: Path | None, secret: str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file, self._clock = file, clock
        self._fixed = [Key(SETTING, (hashlib.sha256(secret.encode()).digest(),))] if secret else []
        self._rates: dict[Key, KeyRates] = {}
        self._looked_s, self._stamp = clock(), _stamp(file)
        self._ring = self._read()

    def find(self, secrets: Sequence[bytes]) -> Caller | None:
        """The caller with this secret; None for nobody's, and for several at once."""
        self._look()
        if len(secrets) != 1 or (key := self._ring.find(secrets[0])) is None:
            return None
        return Caller(key, self._rates.setdefault(key, KeyRates(key.limits, self._clock)))

    def _look(self) -> None:
        """Read the file again if it has changed."""
        now_s = self._clock()
        if self._file is None or now_s < self._looked_s + LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if (stamp := _stamp(self._file)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._ring = self._read()
        except KeysError as error:
            log.error("keys not read; those from before stay", reason=str(error))
        else:
            log.info("keys", number=len(self._ring))

    def _read(self) -> KeyRing:
        return KeyRing([*self._fixed, *(read_keys(self._file) if self._file else ())])


def _stamp(file: Path | None) -> tuple[int, int, int]:
    """What changes when a file does."""
    try:
        found = file.stat() if file else None
    except OSError:
        found = None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else (0, 0, 0)
