"""Every change that publishing makes to the disk: each method's change is durable when it returns.

One small class, passed in. Each system call goes through `call`, so that a test can let any single one fail
or be the last.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from bundle.errors import BundleError
from bundle.shipped import refuse_shipped

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".lock"
NO_LINK = getattr(os, "O_NOFOLLOW", 0)

P = ParamSpec("P")
R = TypeVar("R")


class Disk:
    """The file system. Keeps no state; what it raises is OSError."""

    def call(self, function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Do one system call."""
        return function(*args, **options)

    def make_directory(self, path: Path) -> None:
        """Create a directory and those above it; one that is there already is left as it is."""
        refuse_shipped(path)
        try:
            self.call(os.mkdir, path)
        except FileNotFoundError:
            self.make_directory(path.parent)
            self.call(os.mkdir, path)
        except FileExistsError:
            if not path.is_dir():
                raise
        self._sync(path.parent)

    def write(self, path: Path, content: bytes) -> None:
        """Create a file; never one that exists, never through a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK | getattr(os, "O_BINARY", 0)
        descriptor = self.call(os.open, path, flags, 0o644)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[self.call(os.write, descriptor, rest) :]
            self.call(os.fsync, descriptor)
        finally:
            self.call(os.close, descriptor)
        self._sync(path.parent)

    def append(self, path: Path, line: bytes) -> None:
        """Add a line to a file, or begin it; never through a link. Half a line that is there is ended."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | NO_LINK | getattr(os, "O_BINARY", 0)
        descriptor = self.call(os.open, path, flags, 0o644)
        try:
            size = self.call(os.lseek, descriptor, 0, os.SEEK_END)
            if size:
                self.call(os.lseek, descriptor, size - 1, os.SEEK_SET)
                line = line if self.call(os.read, descriptor, 1) == b"\n" else b"\n" + line
            if self.call(os.write, descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.call(os.fsync, descriptor)
        finally:
            self.call(os.close, descriptor)
        if not size:
            self._sync(path.parent)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a directory; fails where a version stands already."""
        self.call(os.rename, source, target)
        self._sync(target.parent)

    def replace(self, source: Path, target: Path) -> None:
        """Put a file in the place of another, at once."""
        self.call(os.replace, source, target)
        self._sync(target.parent)

    def unlink(self, path: Path) -> None:
        """Remove a file, which must be there."""
        self.call(os.unlink, path)
        self._sync(path.parent)

    def remove(self, path: Path) -> None:
        """Remove a file or a directory with all it holds, as far as possible."""
        if path.is_dir() and not path.is_symlink():
            for above, directories, files in os.walk(path, topdown=False):
                for name in (*files, *directories):
                    self._remove_one(Path(above, name))
        self._remove_one(path)

    def lock(self, directory: Path) -> int:
        """Take the lock of a directory, which the system frees when the process dies.

        Returns:
            What `unlock` takes.

        Raises:
            BlockingIOError: another process has it.
        """
        descriptor = self.call(os.open, directory / LOCK, os.O_RDWR | os.O_CREAT | NO_LINK, 0o644)
        try:
            self.call(_lock, descriptor)
        except BaseException:
            self.unlock(descriptor)
            raise
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Free a lock; nothing was written to its file that could be lost."""
        with suppress(OSError):
            self.call(os.close, descriptor)

    def _remove_one(self, path: Path) -> None:
        with suppress(OSError):
            is_directory = path.is_dir() and not path.is_symlink()
            self.call(os.rmdir if is_directory else os.unlink, path)

    def _sync(self, directory: Path) -> None:
        if sys.platform == "win32":  # a directory cannot be opened there, and a rename is durable without it
            return
        descriptor = self.call(os.open, directory, os.O_RDONLY)
        try:
            self.call(os.fsync, descriptor)
        finally:
            self.call(os.close, descriptor)


DISK = Disk()


@contextmanager
def publishing(directory: Path, disk: Disk = DISK) -> Iterator[None]:
    """Be the only publisher of one model.

    Raises:
        BundleError: somebody else is publishing it, or it came with the package.
        OSError: the lock's file cannot be made.
    """
    refuse_shipped(directory)
    try:
        lock = disk.lock(directory)
    except BlockingIOError:
        raise BundleError(
            f"{directory.name} is being published by somebody else; try again when that is done"
        ) from None
    try:
        yield
    finally:
        disk.unlock(lock)


@contextmanager
def waiting_lock(directory: Path) -> Iterator[None]:
    """Hold the lock that one process has at a time; the others wait."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | NO_LINK, 0o600)
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":

    def _wait_for_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:  # what a lock that is held is there
            raise BlockingIOError(error.errno, error.strerror) from None

else:

    def _wait_for_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
