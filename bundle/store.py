"""Published models on disk: `models/<name>/<version>/`, and `models/<name>/current`.

Finds versions, says which is the current one, and turns one into a proven encoder. How its files are read
is in `bundle.directory`, how they came there in `bundle.publish`.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from bundle.aliases import ALIASES, ALL, CURRENT, Alias, alias_names, read_alias, tag_of
from bundle.directory import (
    AGAIN,
    CARD,
    GOLDEN,
    GRAPH,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    Contents,
    read_directory,
    read_entry,
    read_file,
    read_manifest,
    read_signatures,
)
from bundle.disk import DISK, Disk, publishing
from bundle.encoder import DEFAULT, Encoder
from bundle.errors import BundleError, IntegrityError, ManifestError
from bundle.golden import Golden, check_extremes
from bundle.graph import check_graph
from bundle.lexical import LEXICAL, Lexical
from bundle.manifest import Digest, Manifest, Name, Reference
from bundle.preprocess import KINDS, HasTerms, Kind, Preprocessor
from bundle.sessions import Execution
from bundle.signatures import TrustedKeys

TEMPORARY = ".tmp-"  # starts the names of what is still being written

_NAME = TypeAdapter[str](Name)
_PREPROCESSORS: WeakValueDictionary[tuple[Any, ...], Preprocessor] = WeakValueDictionary()


class _Pointer(BaseModel):
    """The content of `current`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: Name
    manifest_digest: Digest


@dataclass(frozen=True)
class Store:
    """A directory of published models.

    Attributes:
        root: the directory.
        trusted: keys of which one must have signed each version that is read; None for whoever signed it.
    """

    root: Path
    trusted: TrustedKeys | None = None

    def names(self) -> list[str]:
        """Every model that has a version or a pointer, or that cannot be read, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if is_name(path.name) and _holds_model(path))

    def versions(self, name: str) -> list[str]:
        """Published versions, oldest first (numbers by value, then other names)."""
        directory = self.root / check_name(name)
        try:
            found = os.listdir(directory)
        except OSError:  # `current` tells the reason
            return []
        published = (each for each in found if os.path.isfile(directory / each / MANIFEST))
        return sorted(filter(is_name, published), key=version_key)

    def current(self, name: str) -> str:
        """The default version, which all encoders of its space agree on.

        Of encoders that were published together, the pointer of the first by name decides for all: two
        pointers cannot be switched at once, one can.

        Raises:
            BundleError: there is no pointer, or the encoders of the space have come apart.
        """
        leader = self._leader(name)
        decided = self._together(self._pointed(leader))
        for member in decided:
            if self._leader(member) != leader:
                raise self._apart(name, member)
        if name not in decided:
            raise self._apart(name, leader)
        return decided[name]

    def leader(self, name: str) -> str:
        """The model whose directory has the aliases and the history of this one: the first of its pair."""
        try:
            return self._leader(name)
        except BundleError:
            return check_name(name)

    def aliases(self, name: str) -> list[str]:
        """The aliases of a model but `current`, sorted."""
        return alias_names(self.root / self.leader(name))

    def alias(self, name: str, alias: str) -> Alias | None:
        """What an alias stands for, `current` among them; None if there is none.

        Raises:
            BundleError: its file cannot be used, or names a version that is not there.
        """
        leader = self.leader(name)
        if alias == CURRENT:
            version = self.current(name)
            digest = self.manifest(name, version).digest
            return Alias(CURRENT, {version: ALL}, {version: digest}, tag_of(self.root / leader / CURRENT))
        found = read_alias(self.root / leader, check_name(alias))
        for version, digest in found.digests.items() if found else ():
            if self.manifest(leader, version).digest != digest:
                raise IntegrityError(f"{leader}/{version} is not the one that {alias} was set to; {AGAIN}")
        return found

    def stamp(self) -> dict[Path, tuple[int, int, int]]:
        """What changes when somebody changes an alias, `current` among them: to look at often."""
        found = {}
        for name in self.names():
            directory = self.root / name
            for path in (directory / CURRENT, directory / ALIASES, *(directory / ALIASES).glob("*")):
                with suppress(OSError):
                    status = path.stat()
                    found[path] = (status.st_mtime_ns, status.st_ino, status.st_size)
        return found

    def manifest(self, name: str, version: str) -> Manifest:
        """The manifest alone; its files are not checked. Raises ManifestError."""
        return _named(read_manifest(self._directory(name, version))[0], name, version)

    def check_signed(self, manifest: Manifest) -> str | None:
        """The id of the trusted key that signed a version that is here; None where nobody demands one.

        Raises:
            SignatureError: none of the trusted keys did.
        """
        if self.trusted is None:
            return None
        content = read_signatures(self._directory(manifest.name, manifest.version))
        return self.trusted.check(manifest.digest, content)

    def check_group_signed(self, name: str, version: str) -> None:
        """The same for a version and those that were published with it. Raises BundleError."""
        for one, found in self._together(self.manifest(name, version)).items():
            self.check_signed(self.manifest(one, found))

    def card(self, manifest: Manifest) -> bytes:
        """The model card of a version, UTF-8, as it was published. Raises ManifestError, IntegrityError."""
        return read_entry(self._directory(manifest.name, manifest.version), manifest, CARD)

    def read(self, name: str, version: str, digest: str | None = None) -> Contents:
        """Read and check every file of a version, and that its peers are there.

        Args:
            name: of the model.
            version: of it.
            digest: what its manifest must have, where somebody looked at it before.

        Raises:
            ManifestError, IntegrityError, SignatureError: with the reason.
        """
        contents = read_directory(self._directory(name, version))
        if self.trusted is not None:
            self.trusted.check(contents.manifest.digest, contents.signatures)
        if digest not in (None, contents.manifest.digest):
            raise IntegrityError(f"{name}/{version} was replaced while it was being loaded; load it again")
        for peer in _named(contents.manifest, name, version).peers:
            self._check_peer(contents.manifest, peer)
        self._check_joined(contents.manifest)
        return contents

    def load(self, name: str, version: str | None = None, execution: Execution = DEFAULT) -> Encoder:
        """A proven encoder: files checked, graph checked, golden vectors reproduced.

        Raises:
            BundleError: with the reason.
        """
        return build(self.read(name, self.current(name) if version is None else version), execution)

    def sweep(self) -> None:
        """Remove what publishers that died left behind; never what one is at work on."""
        for directory in {path.parent for path in self.root.glob(f"*/{TEMPORARY}*")}:
            with suppress(BundleError, OSError), publishing(directory):
                remove_leftovers(directory)

    def _directory(self, name: str, version: str) -> Path:
        directory = self.root / check_name(name) / check_name(version)
        if not os.path.lexists(directory):
            raise ManifestError(self._absent(name, version))
        return directory

    def _absent(self, name: str, version: str) -> str:
        """Say that there is no such model, or no such version of it, and what there is instead."""
        names = self.names()
        if name not in names:
            return f"there is no model {name}; {_instead(name, names)}"
        return f"{name} has no version {version}; it has {', '.join(self.versions(name)) or 'none'}"

    def _pointed(self, name: str) -> Manifest:
        """The manifest that a model's own pointer names."""
        try:
            content = read_file(self.root / check_name(name) / CURRENT, MAX_MANIFEST_BYTES)
            pointer = _Pointer.model_validate_json(content)
        except IntegrityError as error:
            if name not in self.names():
                raise BundleError(self._absent(name, CURRENT)) from None
            raise BundleError(f"{name} has no current version: {error}") from None
        except ValidationError:
            raise BundleError(
                f"{name}/{CURRENT} is not a pointer file; make a version current again"
            ) from None
        manifest = self.manifest(name, pointer.version)
        if manifest.digest != pointer.manifest_digest:
            raise IntegrityError(f"{name}/{pointer.version} is not the one that was made current; {AGAIN}")
        return manifest

    def _together(self, manifest: Manifest) -> dict[str, str]:
        """Name to version of all that were published together."""
        return {manifest.name: manifest.version} | {peer.name: peer.version for peer in manifest.peers}

    def _leader(self, name: str) -> str:
        return min(self._together(self._pointed(name)))

    def _apart(self, name: str, other: str) -> BundleError:
        return BundleError(
            f"the current versions of {name} and {other} were not published together; "
            "make a version current that both have"
        )

    def _check_peer(self, manifest: Manifest, peer: Reference) -> None:
        try:
            theirs = self.manifest(peer.name, peer.version)
        except ManifestError as error:
            raise IntegrityError(
                f"needs {peer.name}/{peer.version}, published together with it, and that is refused: {error}"
            ) from None
        if theirs.space != manifest.space:
            raise IntegrityError(f"{peer.name}/{peer.version} is of another space; {AGAIN}")

    def _check_joined(self, manifest: Manifest) -> None:
        """Raise IntegrityError where the encoder whose space is joined is here, and is another one.

        It need not be here: the id alone says which vectors these may be compared with.
        """
        joins = manifest.joins
        if joins is None or joins.version not in self.versions(joins.name):
            return
        try:
            theirs = self.manifest(joins.name, joins.version)
        except ManifestError:
            return  # nobody is given its vectors
        if theirs.space != joins.space or (theirs.dim, theirs.metric) != (manifest.dim, manifest.metric):
            raise IntegrityError(
                f"it joins the space of {joins.name}/{joins.version}, and that is another encoder here: "
                "its space, dimensions or metric differ; bring the two versions together, or train again"
            )


def remove_leftovers(directory: Path, disk: Disk = DISK) -> None:
    """Remove what dead publishers left in a model's directory; the caller is its only publisher."""
    for leftover in directory.glob(f"{TEMPORARY}*"):
        disk.remove(leftover)


def _holds_model(directory: Path) -> bool:
    """Tell whether there is something to load; what cannot be read counts, so that somebody is told."""
    if not os.path.isdir(directory):
        return False
    try:
        found = os.listdir(directory)
    except OSError:
        return True
    return any(each == CURRENT or os.path.isfile(directory / each / MANIFEST) for each in found)


def _instead(name: str, names: list[str]) -> str:
    """What else a model's name may have meant."""
    if nearest := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {nearest[0]}?"
    return f"there are {', '.join(names)}" if names else "the directory holds none"


def build(contents: Contents, execution: Execution = DEFAULT, *, is_proven: bool = False) -> Encoder:
    """Make a proven encoder of checked bytes.

    Args:
        contents: of a version.
        execution: how it is to be run.
        is_proven: the same bytes were proven on this machine: one golden vector is enough.

    Raises:
        BundleError: with the reason.
    """
    manifest = contents.manifest
    kind = KINDS[manifest.kind]
    if (opset := check_graph(contents.files[GRAPH])) != manifest.opset:
        raise IntegrityError(f"model.onnx has opset {opset}, the manifest says {manifest.opset}")
    golden = Golden.from_bytes(contents.files[GOLDEN])
    preprocessor = _preprocessor(contents, kind)
    encoder = Encoder(
        manifest,
        preprocessor,
        contents.files[GRAPH],
        execution,
        examples=golden.inputs,
        calibration=golden.vectors,
        lexical=lexical_in(contents.files, preprocessor),
    )
    if is_proven:
        golden.first().check(encoder)
    else:
        golden.check(encoder)
        check_extremes(encoder)
    return encoder


def _preprocessor(contents: Contents, kind: Kind) -> Preprocessor:
    """One for all versions that read alike, as retrainings do as a rule.

    Reading a tokenizer holds Python's lock for 0.1 s and more, in which a server that loads a further version
    answers nobody; and each takes megabytes.
    """
    manifest, content = contents.manifest, contents.files[kind.file]
    reads = (
        kind.load,
        hashlib.sha256(content).digest(),
        manifest.max_length,
        tuple(manifest.languages),
        manifest.respell,
    )
    if (found := _PREPROCESSORS.get(reads)) is None:
        found = kind.preprocessor(content, manifest.max_length, manifest.languages, respell=manifest.respell)
        _PREPROCESSORS[reads] = found
    return found


def lexical_in(files: Mapping[str, bytes], preprocessor: Preprocessor) -> Lexical | None:
    """The statistics of words among a bundle's files, if it has them. Raises ManifestError."""
    content = files.get(LEXICAL)
    if content is None or not isinstance(preprocessor, HasTerms):
        return None
    return Lexical.from_bytes(content, preprocessor.vocabulary)


def _named(manifest: Manifest, name: str, version: str) -> Manifest:
    """The manifest, if it belongs where it was found."""
    if (manifest.name, manifest.version) != (name, version):
        raise ManifestError(f"manifest.json is of {manifest.name}/{manifest.version}, not {name}/{version}")
    return manifest


def is_name(name: str) -> bool:
    """Tell whether this may be the name of a model or a version."""
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def check_name(name: str) -> str:
    """The name itself, if it is one: no path ever comes from a request unchecked."""
    if not is_name(name):
        raise BundleError(
            "a name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and starts with a letter or a digit"
        )
    return name


def version_key(version: str) -> tuple[int, int, str]:
    """Sorts "2" before "10", and numbers before other names."""
    return (0, int(version), "") if version.isdecimal() else (1, 0, version)
