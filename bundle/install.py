"""Putting in place what was published elsewhere, to the bit: proven first, then seen, never overwritten.

    manifests, files -> temporary directories -> verified by the server's own loader -> rename -> pointer

Knows nothing of where they come from: `encodery.transfer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bundle.directory import MANIFEST, read_directory
from bundle.disk import DISK, Disk
from bundle.errors import VersionExistsError
from bundle.manifest import Manifest
from bundle.publish import move_into_place
from bundle.signing import put_signatures
from bundle.store import Store, build
from bundle.switching import alone, make_current, temporary_in, told_as


@dataclass(frozen=True)
class Foreign:
    """A version that was published elsewhere.

    Attributes:
        content: of manifest.json.
        read: a file of it, by name.
        signatures: of signatures.json, if it has one.
    """

    manifest: Manifest
    content: bytes = field(repr=False)
    read: Callable[[str], bytes] = field(repr=False)
    signatures: bytes | None = field(default=None, repr=False)


def install(
    models: Path, group: Sequence[Foreign], *, use: bool = True, who: str | None = None, disk: Disk = DISK
) -> list[Manifest]:
    """Put versions of encoders in place that were published together, and make them the current ones.

    Args:
        models: the directory of models.
        group: an encoder, or the towers of a pair; of those that are there already only the signatures are
            taken, for keys may have followed others.
        use: makes them current.
        who: for the history; by default the user of the machine.
        disk: where every change goes through.

    Raises:
        VersionExistsError: another bundle stands under that name and version.
        BundleError: one does not pass the loader, or the disk fails; nothing has changed.
    """
    manifests, began_s = [one.manifest for one in group], time.monotonic()
    with told_as("nothing was installed"):
        for manifest in manifests:
            disk.make_directory(models / manifest.name)
        with alone(models, [manifest.name for manifest in manifests], disk):
            new = absent(models, manifests)
            _put_in_place(models, [one for one in group if one.manifest in new], disk)
            put_signatures(models, [(one.manifest, one.signatures) for one in group], disk)
            for manifest in manifests:
                Store(models).read(manifest.name, manifest.version, manifest.digest)
            if use:
                make_current(models, manifests, disk, who=who, began_s=began_s)
    return manifests


def absent(models: Path, manifests: Sequence[Manifest]) -> list[Manifest]:
    """Those that are not there yet. Raises VersionExistsError where something else stands there."""
    store, missing = Store(models), []
    for manifest in manifests:
        if not (models / manifest.name / manifest.version).exists():
            missing.append(manifest)
        elif store.manifest(manifest.name, manifest.version).digest != manifest.digest:
            raise VersionExistsError(
                f"{manifest.name}/{manifest.version} is there already, and is another one; versions are "
                "never overwritten: remove that directory, or publish under another version"
            )
    return missing


def _put_in_place(models: Path, group: Sequence[Foreign], disk: Disk) -> None:
    staged: list[tuple[Path, Path]] = []
    try:
        for one in group:
            directory = models / one.manifest.name
            staged.append((temporary_in(directory), directory / one.manifest.version))
            _stage(staged[-1][0], one, disk)
        move_into_place(staged, disk)
    finally:
        for temporary, _ in staged:
            disk.remove(temporary)


def _stage(temporary: Path, one: Foreign, disk: Disk) -> None:
    disk.make_directory(temporary)
    for name in one.manifest.files:
        disk.write(temporary / name, one.read(name))
    disk.write(temporary / MANIFEST, one.content)
    build(read_directory(temporary))
