"""Which place an address means, in one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from encodery.transfer.base import Place
from encodery.transfer.errors import TransferError
from encodery.transfer.registry import Registry
from encodery.transfer.trees import Bucket, Directory, Web

SCHEMES: dict[str, Callable[[str], Place]] = {
    "https": Web,
    "http": Web,
    "s3": Bucket,
    "oci": Registry,
}


def place_of(address: str) -> Place:
    """A directory, or what the scheme of a URL says. Raises TransferError."""
    scheme, is_url, rest = address.partition("://")
    if not is_url:
        if not Path(address).is_dir():
            raise TransferError(
                f"there is no directory {address}; or a URL begins with {', '.join(SCHEMES)}://"
            )
        return Directory(Path(address))
    if scheme not in SCHEMES:
        raise TransferError(
            f"a place is a directory, or begins with {', '.join(f'{one}://' for one in SCHEMES)}"
        )
    try:
        host, _ = urlsplit(address).hostname, urlsplit(address).port
    except ValueError:
        host = None
    if "@" in urlsplit(address).netloc:
        raise TransferError("an address holds no name and no password: logs and process lists show it")
    if not host or not rest:
        raise TransferError(
            f"after {scheme}:// comes a host" if scheme != "s3" else "after s3:// comes a bucket"
        )
    return SCHEMES[scheme](address)
