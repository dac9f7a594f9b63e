"""One version of a model on disk, as read: each file once, and nothing that was not published.

Every file is opened without following links, checked against the manifest's size and SHA-256, and used
from the very bytes that were checked.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundle.errors import IntegrityError, ManifestError
from bundle.manifest import Manifest, space_id
from bundle.preprocess import KINDS
from bundle.shipped import is_shipped
from bundle.signatures import MAX_SIGNATURES_BYTES, SIGNATURES

MANIFEST, GRAPH, GOLDEN, CARD = "manifest.json", "model.onnx", "golden.json", "README.md"
MAX_MANIFEST_BYTES = 1 << 20
MAX_GRAPH_BYTES = 2 << 30  # protobuf's own limit
MAX_FILE_BYTES = 32 << 20  # any other; a vocabulary of a million entries takes about 20 MB
AGAIN = "copy the version's directory again, or publish a new version"


@dataclass(frozen=True)
class Contents:
    """The files of one version, read and checked but not yet run.

    Attributes:
        files: name to content, all but the manifest.
        manifest_sha256: of manifest.json as it stands on disk.
        signatures: of signatures.json, if there is one; nobody has looked at it yet.
    """

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)
    manifest_sha256: str
    signatures: bytes | None = field(default=None, repr=False)


def read_manifest(directory: Path) -> tuple[Manifest, bytes]:
    """Parse and check what can be checked without the files. Raises ManifestError."""
    try:
        content = read_file(directory / MANIFEST, MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        raise ManifestError(str(error)) from None
    return parse_manifest(content), content


def parse_manifest(content: bytes) -> Manifest:
    """A manifest, with all that can be checked without the files. Raises ManifestError."""
    manifest = Manifest.from_bytes(content)
    if manifest.digest != manifest.expected_digest():
        raise ManifestError(f"manifest.json was changed after it was published; {AGAIN}")
    kind = KINDS.get(manifest.kind)
    if kind is None:
        raise ManifestError(f"manifest.json: kind {manifest.kind!r} is not one of {sorted(KINDS)}")
    if manifest.preprocess_version != kind.version:
        raise ManifestError(
            f"trained with version {manifest.preprocess_version} of the {kind.name} preprocessing, "
            f"this is version {kind.version}; train and export it again"
        )
    needed = {GRAPH, GOLDEN, CARD, kind.file}
    if not needed <= set(manifest.files) <= needed | kind.optional_files:
        also = f", and may be {', '.join(kind.optional_files)}" if kind.optional_files else ""
        raise ManifestError(f"manifest.json: files must be {GRAPH}, {GOLDEN}, {CARD} and {kind.file}{also}")
    digest = manifest.encoder_digest(kind.file)
    if digest not in manifest.space_members or manifest.space != space_id(manifest.space_members):
        raise ManifestError("manifest.json: the space id does not follow from the files")
    if len(manifest.space_members) != 1 + len(manifest.peers):
        raise ManifestError("manifest.json: the space has other members than this encoder and its peers")
    shorter = manifest.dimensions[1:]
    if manifest.dimensions != [manifest.dim, *sorted({d for d in shorter if d < manifest.dim}, reverse=True)]:
        raise ManifestError(f"manifest.json: dimensions must start with dim, {manifest.dim}, and descend")
    return manifest


def read_directory(directory: Path) -> Contents:
    """Read every file once, and refuse what the manifest does not list."""
    if os.path.islink(directory) or os.path.islink(directory.parent):
        raise IntegrityError(f"{directory.name} is reached through a link; copy the directory itself")
    manifest, manifest_bytes = read_manifest(directory)
    try:
        found = set(os.listdir(directory))
    except OSError as error:
        raise IntegrityError(f"{directory.name} cannot be listed: {error.strerror}") from None
    unknown = found - set(manifest.files) - {MANIFEST, SIGNATURES}
    if unknown:
        raise IntegrityError(f"unknown files in the bundle: {sorted(unknown)[:3]}; remove them")
    files = {name: read_entry(directory, manifest, name) for name in manifest.files}
    sha256 = hashlib.sha256(manifest_bytes).hexdigest()
    return Contents(manifest, files, sha256, read_signatures(directory))


def read_signatures(directory: Path) -> bytes | None:
    """The content of signatures.json; None if there is none. Raises IntegrityError."""
    path = directory / SIGNATURES
    return read_file(path, MAX_SIGNATURES_BYTES) if os.path.lexists(path) else None


def read_entry(directory: Path, manifest: Manifest, name: str) -> bytes:
    """A file that the manifest lists, as it was published. Raises IntegrityError."""
    entry, limit = manifest.files[name], MAX_GRAPH_BYTES if name == GRAPH else MAX_FILE_BYTES
    content = read_file(directory / name, limit, expected_size=entry.size)
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise IntegrityError(f"{name} is not the file that was published: its SHA-256 differs; {AGAIN}")
    return content


def read_file(path: Path, limit: int, expected_size: int | None = None) -> bytes:
    """The bytes of a regular file that is no link of any kind. Raises IntegrityError."""
    if os.path.islink(path):  # for Windows, and for the message; elsewhere O_NOFOLLOW decides
        raise IntegrityError(f"{path.name} is a link; put the file itself in its place")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a named pipe must not block
    except FileNotFoundError:
        raise IntegrityError(f"{path.name} is missing; {AGAIN}") from None
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be opened: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        # Installers link the files of a package to their caches.
        is_linked = status.st_nlink > 1 and not is_shipped(path)
        if not stat.S_ISREG(status.st_mode) or is_linked:
            raise IntegrityError(f"{path.name} is a hard link or no regular file; put the file in its place")
        size = status.st_size
        if expected_size is not None and size != expected_size:
            raise IntegrityError(f"{path.name} has {size} bytes, published were {expected_size}; {AGAIN}")
        if size > limit:
            raise IntegrityError(f"{path.name} has {size} bytes, the limit is {limit}")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(size + 1)
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) != size:
        raise IntegrityError(f"{path.name} was changed while it was read; {AGAIN}")
    return content
