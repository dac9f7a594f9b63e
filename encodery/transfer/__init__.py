"""Fetching published models from elsewhere, and sending them there.

place (a directory, https://, s3://, oci://) -> partial files -> verified -> `bundle.install` -> pointer
"""

from encodery.transfer.errors import TransferError
from encodery.transfer.places import place_of
from encodery.transfer.pull import Wanted, pull
from encodery.transfer.push import push
from encodery.transfer.start import at_start

__all__ = ["TransferError", "Wanted", "at_start", "place_of", "pull", "push"]
