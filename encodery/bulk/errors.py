"""The error that ends a bulk run as a whole; a single bad row is set aside."""

from __future__ import annotations

from bundle import EncoderyError


class BulkError(EncoderyError):
    """The run cannot begin or go on; the message says what to do."""
