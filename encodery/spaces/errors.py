"""The error that ends a comparison, an adapter's fit or a migration; the message says what to do."""

from __future__ import annotations

from bundle import EncoderyError


class SpaceError(EncoderyError):
    """The spaces, or the files, do not fit together, or nothing would be gained."""
