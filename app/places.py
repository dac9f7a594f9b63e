"""Files and directories that settings name, or that stand where none does. Of the standard library alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path) -> bytes:
    """The content of a file that is one: a pipe might never come to an end.

    Raises:
        OSError: it cannot be read, or is something else.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def check_appendable(path: Path) -> None:
    """Raise OSError if lines cannot be added; a pipe that nobody reads would be waited for without end."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
    os.close(os.open(path, flags, 0o666))


def default_cache_dir() -> Path | None:
    """`encodery` in the user's cache directory; None for a user without a home."""
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "encodery"
    try:
        return Path.home() / ".cache" / "encodery"
    except RuntimeError:
        return None
