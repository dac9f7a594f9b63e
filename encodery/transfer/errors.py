"""What can go wrong between here and a place elsewhere."""

from __future__ import annotations

from bundle import BundleError


class TransferError(BundleError):
    """A place cannot be reached, does not have what is wanted, or sends something else."""


class Interrupted(TransferError):
    """The connection ended; what came so far is good, and asking for the rest may help."""
