"""Puts signatures beside published versions, at once and for all of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bundle.directory import read_signatures
from bundle.disk import DISK, Disk
from bundle.manifest import Manifest
from bundle.signatures import SIGNATURES, sign
from bundle.store import Store
from bundle.switching import alone, temporary_in, told_as


def sign_group(
    models: Path, name: str, version: str | None, pem: bytes, *, disk: Disk = DISK
) -> list[Manifest]:
    """Sign a version, and those that were published with it; signatures by other keys stay.

    Args:
        models: the directory of models.
        name: of the model.
        version: of it; by default the current one.
        pem: the private key.
        disk: where every change goes through.

    Raises:
        BundleError: a file is not as it was published, the key cannot be used, or the disk fails.
    """
    store = Store(models)
    first = store.read(name, version or store.current(name))
    group = [first, *(store.read(peer.name, peer.version) for peer in first.manifest.peers)]
    made = [(one.manifest, sign(one.manifest.digest, pem, one.signatures)) for one in group]
    manifests = [manifest for manifest, _ in made]
    with told_as("not all was signed"), alone(models, [one.name for one in manifests], disk):
        put_signatures(models, made, disk)
    return manifests


def put_signatures(models: Path, group: Sequence[tuple[Manifest, bytes | None]], disk: Disk = DISK) -> None:
    """Write signatures.json of each that has one and another one now; the caller is the only publisher."""
    for manifest, content in group:
        directory = models / manifest.name
        if content is None or content == read_signatures(directory / manifest.version):
            continue
        temporary = temporary_in(directory)  # in the version it would be a file that nobody knows
        try:
            disk.write(temporary, content)
            disk.replace(temporary, directory / manifest.version / SIGNATURES)
        finally:
            disk.remove(temporary)
