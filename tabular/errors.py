"""The error of a file that cannot be read as a whole; what is wrong with one row stands in that row."""

from __future__ import annotations

from bundle.errors import EncoderyError


class DataError(EncoderyError):
    """A file cannot be read; the message names it, the line where one is known, and the way out."""
