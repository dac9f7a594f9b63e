"""Bundles on disk, as read: `models/<name>/<version>/`, and `models/<name>/current`.

Every file is opened once without following links, checked against the manifest's size and SHA-256, and
used from the very bytes that were checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundle.encoder import Encoder
from bundle.errors import BundleError, IntegrityError, ManifestError
from bundle.golden import Golden
from bundle.graph import check_graph
from bundle.manifest import Manifest, Name, Reference, space_id
from bundle.preprocess import KINDS
from pydantic import TypeAdapter, ValidationError

MANIFEST, GRAPH, GOLDEN, CARD, CURRENT = "manifest.json", "model.onnx", "golden.json", "README.md", "current"
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 2 << 30  # protobuf's own limit

_NAME = TypeAdapter[str](Name)


@dataclass(frozen=True)
class Contents:
    """The files of one version, read and checked but not yet run."""

    manifest: Manifest
    files: Mapping[str, bytes] = field(repr=False)
    manifest_sha256: str


@dataclass(frozen=True)
class Store:
    """A directory of published models."""

    root: Path

    def names(self) -> list[str]:
        """Every model that has a version or a pointer, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and is_name(path.name))

    def versions(self, name: str) -> list[str]:
        """Published versions, oldest first (numbers by value, then other names)."""
        directory = self.root / check_name(name)
        if not directory.is_dir():
            return []
        found = [path.name for path in directory.iterdir() if (path / MANIFEST).is_file()]
        return sorted(filter(is_name, found), key=version_key)

    def current(self, name: str) -> str:
        """The default version, which all encoders of its space agree on.

        Raises:
            BundleError: there is no pointer, or a pair was published or switched half-way.
        """
        version = self._pointer(name)
        for peer in self.manifest(name, version).peers:
            if (theirs := self._pointer(peer.name)) != peer.version:
                raise BundleError(
                    f"{name}'s current version is {version}, made for {peer.name}/{peer.version}, but {peer.name}'s is "
                    f"{theirs}; run: encodery models use {name} VERSION"
                )
        return version

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest alone; its files are not checked. Raises ManifestError."""
        return read_manifest(self.root / check_name(name) / check_name(version))[0]

    def read(self, name: str, version: str) -> Contents:
        """Read and check every file of a version, and that its peers are there.

        Raises:
            ManifestError, IntegrityError: with the reason.
        """
        contents = read_directory(self.root / check_name(name) / check_name(version))
        if (contents.manifest.name, contents.manifest.version) != (name, version):
            raise ManifestError("manifest.json is of another model or version than its directory")
        for peer in contents.manifest.peers:
            self._check_peer(contents.manifest, peer)
        return contents

    def load(self, name: str, version: str | None = None, threads: int = 1) -> Encoder:
        """A proven encoder: files checked, graph checked, golden vectors reproduced.

        Raises:
            BundleError: with the reason.
        """
        return build(self.read(name, self.current(name) if version is None else version), threads)

    def _pointer(self, name: str) -> str:
        path = self.root / check_name(name) / CURRENT
        try:
            pointer = json.loads(read_file(path, MAX_MANIFEST_BYTES))
            return check_name(pointer["version"])
        except (KeyError, TypeError, ValueError):
            raise BundleError(f"{name}/{CURRENT} is not a pointer file") from None

    def _check_peer(self, manifest: Manifest, peer: Reference) -> None:
        try:
            theirs = self.manifest(peer.name, peer.version)
        except ManifestError:
            raise IntegrityError(f"published together with {peer.name}/{peer.version}, which is missing") from None
        if theirs.space != manifest.space:
            raise IntegrityError(f"{peer.name}/{peer.version} is of another space")


def build(contents: Contents, threads: int = 1) -> Encoder:
    """From checked bytes to a proven encoder. Raises BundleError."""
    manifest = contents.manifest
    kind = KINDS[manifest.kind]
    if check_graph(contents.files[GRAPH]) != manifest.opset:
        raise IntegrityError("model.onnx has another opset than the manifest says")
    preprocessor = kind.load(contents.files[kind.file], manifest.max_length)
    encoder = Encoder(manifest, preprocessor, contents.files[GRAPH], threads)
    Golden.from_bytes(contents.files[GOLDEN]).check(encoder)
    return encoder


def read_manifest(directory: Path) -> tuple[Manifest, bytes]:
    """Parse and check what can be checked without the files. Raises ManifestError."""
    try:
        content = read_file(directory / MANIFEST, MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        raise ManifestError(str(error)) from None
    manifest = Manifest.from_bytes(content)
    kind = KINDS.get(manifest.kind)
    if kind is None:
        raise ManifestError(f"manifest.json: kind {manifest.kind!r} is not one of {sorted(KINDS)}")
    if manifest.preprocess_version != kind.version:
        raise ManifestError(
            f"trained with version {manifest.preprocess_version} of the {kind.name} preprocessing, "
            f"this is version {kind.version}; train and export it again"
        )
    if set(manifest.files) != {GRAPH, GOLDEN, CARD, kind.file}:
        raise ManifestError(f"manifest.json: files must be {GRAPH}, {GOLDEN}, {CARD} and {kind.file}")
    digest = manifest.encoder_digest(kind.file)
    if digest not in manifest.space_members or manifest.space != space_id(manifest.space_members):
        raise ManifestError("manifest.json: the space id does not follow from the files")
    if manifest.dimensions != sorted(set(manifest.dimensions), reverse=True) or manifest.dimensions[:1] != [
        manifest.dim
    ]:
        raise ManifestError("manifest.json: dimensions must descend from dim")
    return manifest, content


def read_directory(directory: Path) -> Contents:
    """Read every file once, and refuse what the manifest does not list."""
    manifest, manifest_bytes = read_manifest(directory)
    unknown = {path.name for path in directory.iterdir()} - set(manifest.files) - {MANIFEST}
    if unknown:
        raise IntegrityError(f"unknown files in the bundle: {sorted(unknown)[:3]}")
    files: dict[str, bytes] = {}
    for name, entry in manifest.files.items():
        content = read_file(directory / name, MAX_FILE_BYTES, expected_size=entry.size)
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise IntegrityError(f"{name} is not the file that was published: its SHA-256 differs")
        files[name] = content
    return Contents(manifest, files, hashlib.sha256(manifest_bytes).hexdigest())


def read_file(path: Path, limit: int, expected_size: int | None = None) -> bytes:
    """The bytes of a regular file that is no link of any kind. Raises IntegrityError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise IntegrityError(f"{path.name} cannot be opened: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise IntegrityError(f"{path.name} is a link or no regular file")
        if expected_size is not None and status.st_size != expected_size:
            raise IntegrityError(f"{path.name} has {status.st_size} bytes, published were {expected_size}")
        if status.st_size > limit:
            raise IntegrityError(f"{path.name} has {status.st_size} bytes, the limit is {limit}")
        return file.read(limit + 1)


def is_name(name: str) -> bool:
    """Whether this may be the name of a model or a version."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def check_name(name: str) -> str:
    """The name itself, if it is one: no path ever comes from a request unchecked."""
    if not is_name(name):
        raise BundleError("a name is 1 to 64 lower-case letters, digits, '.', '_' or '-', and starts with one of the first two")
    return name


def version_key(version: str) -> tuple[int, int, str]:
    """Sorts "2" before "10", and numbers before other names."""
    return (0, int(version), "") if version.isdecimal() else (1, 0, version)
