"""Every change that publishing makes to the disk: each call is durable when it returns.

One small class, passed in, so that a test can let any single call fail or be the last one.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bundle.errors import BundleError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".lock"


class Disk:
    """The file system. Keeps no state."""

    def make_directory(self, path: Path) -> None:
        """Create a directory and those above it; one that is there already is left as it is."""
        path.mkdir(parents=True, exist_ok=True)
        _sync(path.parent)

    def write(self, path: Path, content: bytes) -> None:
        """Create a file; never one that exists, never through a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _sync(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a directory; fails where a version stands already."""
        source.rename(target)
        _sync(target.parent)

    def replace(self, source: Path, target: Path) -> None:
        """Put a file in the place of another, at once."""
        source.replace(target)
        _sync(target.parent)

    def remove(self, path: Path) -> None:
        """Remove a file or a directory with all it holds, as far as possible."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


DISK = Disk()


@contextmanager
def publishing(directory: Path) -> Iterator[None]:
    """Be the only publisher of one model. The system frees the lock of a process that dies.

    Raises:
        BundleError: somebody else is publishing it.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        try:
            _lock(descriptor)
        except OSError:
            raise BundleError(
                f"{directory.name} is being published by somebody else; try again when that is done"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def waiting_lock(directory: Path) -> Iterator[None]:
    """Hold the lock that one process has at a time; the others wait."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":

    def _wait_for_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _sync(directory: Path) -> None:
        """A directory cannot be opened there, and a rename is durable without it."""

else:

    def _wait_for_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _sync(directory: Path) -> None:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
