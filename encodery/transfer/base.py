"""What every place is to those that fetch from it and send to it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

from bundle import Manifest
from bundle.aliases import ALIASES, CURRENT
from bundle.directory import MANIFEST, Contents
from bundle.signatures import SIGNATURES
from encodery.transfer.errors import TransferError


class Place(Protocol):
    """Somewhere that models are published."""

    def version(self, name: str, wanted: str | None) -> str:
        """The version that a name stands for: one of that name, or behind an alias; by default the current.

        Raises TransferError.
        """
        ...

    def manifest(self, name: str, version: str) -> bytes:
        """The content of manifest.json. Raises TransferError."""
        ...

    def signatures(self, name: str, version: str) -> bytes | None:
        """The content of signatures.json; None where there is none. Raises TransferError."""
        ...

    def stream(self, manifest: Manifest, file: str, start: int) -> Iterator[bytes]:
        """A file from a byte on, in pieces. Raises TransferError; Interrupted if asking again may help."""
        ...

    def send(self, group: Sequence[Contents], *, use: bool) -> None:
        """Put versions that were published together: files, what names them, the pointer last, if wanted.

        Raises BundleError.
        """
        ...


class Tree(ABC):
    """A place with files as they lie in a directory of models: NAME/VERSION/FILE, NAME/current."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """A small file; None if it is not there. Raises TransferError."""

    @abstractmethod
    def pieces(self, path: str, start: int) -> Iterator[bytes]:
        """A file from a byte on. Raises TransferError."""

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Put a file, over one that is there. Raises TransferError."""

    def version(self, name: str, wanted: str | None) -> str:
        """See `Place`."""
        if wanted is None or wanted == CURRENT:
            pointer = self.read(f"{name}/{CURRENT}")
            if pointer is None:
                raise TransferError(f"there is no model {name}, or it has no {CURRENT} version")
            return _told(pointer, "version", name)
        if self.read(f"{name}/{wanted}/{MANIFEST}") is not None:
            return wanted
        alias = self.read(f"{name}/{ALIASES}/{wanted}")
        if alias is None:
            raise TransferError(f"{name} has no version and no alias {wanted}")
        return _told(alias, "versions", name)

    def manifest(self, name: str, version: str) -> bytes:
        """See `Place`."""
        content = self.read(f"{name}/{version}/{MANIFEST}")
        if content is None:
            raise TransferError(f"{name} has no version {version}")
        return content

    def signatures(self, name: str, version: str) -> bytes | None:
        """See `Place`."""
        return self.read(f"{name}/{version}/{SIGNATURES}")

    def stream(self, manifest: Manifest, file: str, start: int) -> Iterator[bytes]:
        """See `Place`."""
        return self.pieces(f"{manifest.name}/{manifest.version}/{file}", start)

    def send(self, group: Sequence[Contents], *, use: bool) -> None:
        """See `Place`."""
        manifests = [contents.manifest for contents in group]
        for manifest, contents in zip(manifests, group, strict=True):
            for file, content in sent_files(contents).items():
                self.write(f"{manifest.name}/{manifest.version}/{file}", content)
        for manifest in manifests if use else ():
            pointer = {"version": manifest.version, "manifest_digest": manifest.digest}
            self.write(f"{manifest.name}/{CURRENT}", (json.dumps(pointer, indent=1) + "\n").encode())


def sent_files(contents: Contents) -> dict[str, bytes]:
    """Every file of a version by its name, with those that stand beside the manifest's own."""
    signed = {} if contents.signatures is None else {SIGNATURES: contents.signatures}
    return {**contents.files, **signed, MANIFEST: contents.manifest.to_bytes()}


def _told(content: bytes, field: str, name: str) -> str:
    """The one version that a pointer or an alias names. Raises TransferError."""
    try:
        found = json.loads(content)[field]
        versions = [found] if isinstance(found, str) else list(found)
    except (ValueError, KeyError, TypeError):
        raise TransferError(f"what {name} points with is no pointer of ours") from None
    if len(versions) != 1:
        raise TransferError(f"that alias of {name} stands for {len(versions)} versions; name one of them")
    return str(versions[0])
