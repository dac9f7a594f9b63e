"""Sending published versions elsewhere: files first, then what names them, then the pointer."""

from __future__ import annotations

from pathlib import Path

from bundle import Manifest, Store
from bundle.signatures import TrustedKeys
from encodery.transfer.base import Place
from encodery.transfer.pull import Wanted


def push(
    place: Place, wanted: Wanted, models: Path, *, use: bool = True, trusted: TrustedKeys | None = None
) -> list[Manifest]:
    """Send a version, and those that were published with it.

    Args:
        place: where to.
        wanted: what.
        models: the directory that has it.
        use: makes them current there.
        trusted: keys of which one must have signed each of them.

    Raises:
        BundleError: it is not there or not as it was published, or the place refuses it.
    """
    store = Store(models, trusted)
    version = wanted.version or store.current(wanted.name)
    if (
        version not in store.versions(wanted.name)
        and (alias := store.alias(wanted.name, version)) is not None
    ):
        [version] = list(alias.shares) if len(alias.shares) == 1 else [version]
    first = store.read(wanted.name, version)
    group = [first, *(store.read(peer.name, peer.version) for peer in first.manifest.peers)]
    place.send(group, use=use)
    return [contents.manifest for contents in group]
