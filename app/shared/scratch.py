"""A private directory for files that can be made again; none where nothing can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch() -> Iterator[Path | None]:
    """The directory, removed at the end; None on a system without a writable temporary directory."""
    try:
        made = tempfile.TemporaryDirectory(prefix="encodery-", ignore_cleanup_errors=True)
    except OSError:
        yield None
        return
    with made as name:
        yield Path(name)
