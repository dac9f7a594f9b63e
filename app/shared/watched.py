"""A file that may change while the server runs: read again when it does, and kept as it was when good."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from app.places import read_regular
from app.shared.files import write_whole

LOOK_EVERY_S = 1.0
_UNSEEN = (-1, -1, -1)  # the stamp of no file

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """A file, and what it means.

    Args:
        path: of the file.
        parse: its content and its name to what it means. Raises ValueError, which names the place.
        refused: is told why a file that changed cannot be used; what was read before stays.
        copy: where processes that serve together keep the file as it was when it was good. One that takes a
            dead one's place while the file is broken goes on with that.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[bytes, str], T],
        refused: Callable[[str], None],
        copy: Path | None = None,
    ) -> None:
        self._path, self._parse, self._refused, self._copy = path, parse, refused, copy
        self._stamp = _UNSEEN

    def first(self) -> T:
        """Read it. Raises ValueError where it cannot be used, and no copy can."""
        self._stamp = _stamp(self._path)
        try:
            return self._read(self._path)
        except ValueError as error:
            if self._copy is None or not self._copy.exists():
                raise
            self._refused(str(error))
            return self._read(self._copy)

    def changed(self) -> T | None:
        """Read it again if it has changed; None if it has not, or cannot be used."""
        if (stamp := _stamp(self._path)) == self._stamp:
            return None
        self._stamp = stamp
        try:
            return self._read(self._path)
        except ValueError as error:
            self._refused(str(error))
            return None

    def look_again(self) -> None:
        """Read it at the next look, whether or not it seems to have changed."""
        self._stamp = _UNSEEN

    async def watch(self, use: Callable[[T], None]) -> None:
        """Look for ever; the file is read off the event loop."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if (found := await asyncio.to_thread(self.changed)) is not None:
                use(found)

    def _read(self, path: Path) -> T:
        try:
            content = read_regular(path)
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        found = self._parse(content, str(path))
        if self._copy is not None and path != self._copy:
            with suppress(OSError):
                write_whole(self._copy, content)
        return found


def _stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
