"""Writing bundles: all or nothing, proven before they are seen, never overwritten.

    draft -> temporary directory -> fsync -> verified by the server's own loader -> rename -> pointer

A pair (user and item tower) is published in one call. The loader refuses one half without the other,
and refuses a pair whose pointers disagree, so a crash between two renames cannot mix spaces.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bundle.errors import BundleError, VersionExistsError
from bundle.graph import check_graph
from bundle.manifest import FileEntry, Manifest, Parity, Reference, Trained, space_id
from bundle.preprocess import KINDS
from bundle.store import (
    CARD,
    CURRENT,
    GOLDEN,
    GRAPH,
    MANIFEST,
    Store,
    build,
    check_name,
    read_directory,
)


@dataclass(frozen=True)
class Draft:
    """An encoder about to be published; all that its manifest cannot derive by itself.

    Attributes:
        preprocessor: content of tokenizer.json or features.json.
        golden: content of golden.json.
        card: content of the model card, README.md.
        dimensions: lengths a vector may be cut to, `dim` included.
    """

    name: str
    description: str
    kind: str
    graph: bytes = field(repr=False)
    preprocessor: bytes = field(repr=False)
    golden: bytes = field(repr=False)
    card: str = field(repr=False)
    dim: int
    dimensions: Sequence[int]
    normalized: bool
    metric: Literal["cosine", "inner_product"]
    max_length: int
    parity: Parity
    trained: Trained

    def files(self) -> dict[str, bytes]:
        """File name to content, all but the manifest."""
        return {
            GRAPH: self.graph,
            KINDS[self.kind].file: self.preprocessor,
            GOLDEN: self.golden,
            CARD: self.card.encode(),
        }


def publish(models: Path, drafts: Sequence[Draft], version: str | None = None) -> list[Manifest]:
    """Publish encoders that share one space, and make the new version the current one.

    Args:
        models: the directory of models.
        drafts: one encoder, or the towers of a pair.
        version: its name; by default the next number that none of them has used.

    Raises:
        VersionExistsError: one of them has that version already.
        BundleError: a draft does not pass the loader; nothing is published.
    """
    store = Store(models)
    version = check_name(version or _next_version(store, [draft.name for draft in drafts]))
    manifests = _manifests(drafts, version)
    staged: list[tuple[Path, Path]] = []
    try:
        for draft, manifest in zip(drafts, manifests, strict=True):
            staged.append(_stage(models, draft, manifest))
        _move_into_place(staged)
    finally:
        for temporary, _ in staged:
            shutil.rmtree(temporary, ignore_errors=True)
    switch_current(models, manifests[0].name, version)
    return manifests


def switch_current(models: Path, name: str, version: str) -> list[Reference]:
    """Make a published version the default, for all encoders of its space. Returns what was switched."""
    manifest = Store(models).read(name, version).manifest
    switched = [Reference(name=name, version=version), *manifest.peers]
    for reference in switched:
        directory = models / reference.name
        digest = hashlib.sha256((directory / reference.version / MANIFEST).read_bytes()).hexdigest()
        pointer = json.dumps({"version": reference.version, "manifest_sha256": digest}, indent=1) + "\n"
        temporary = directory / f".tmp-{uuid.uuid4().hex}"
        _write(temporary, pointer.encode())
        temporary.replace(directory / CURRENT)
        _sync_directory(directory)
    return switched


def _next_version(store: Store, names: Sequence[str]) -> str:
    used = [int(v) for name in names for v in store.versions(name) if v.isdecimal()]
    return str(max(used, default=0) + 1)


def _manifests(drafts: Sequence[Draft], version: str) -> list[Manifest]:
    single = [_manifest(draft, version) for draft in drafts]
    members = sorted(manifest.encoder_digest(KINDS[manifest.kind].file) for manifest in single)
    references = [Reference(name=draft.name, version=version) for draft in drafts]
    return [
        manifest.model_copy(
            update={
                "space": space_id(members),
                "space_members": members,
                "peers": [reference for reference in references if reference.name != manifest.name],
            }
        )
        for manifest in single
    ]


def _manifest(draft: Draft, version: str) -> Manifest:
    return Manifest(
        schema_version=1,
        name=draft.name,
        version=version,
        description=draft.description,
        kind=draft.kind,
        preprocess_version=KINDS[draft.kind].version,
        space="",
        space_members=["0" * 64],
        peers=[],
        dim=draft.dim,
        dimensions=list(draft.dimensions),
        normalized=draft.normalized,
        metric=draft.metric,
        max_length=draft.max_length,
        opset=check_graph(draft.graph),
        files={
            name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
            for name, content in draft.files().items()
        },
        parity=draft.parity,
        trained=draft.trained,
    )


def _stage(models: Path, draft: Draft, manifest: Manifest) -> tuple[Path, Path]:
    """Write one bundle under a temporary name, and prove it as the server will."""
    directory = models / check_name(draft.name)
    target = directory / manifest.version
    if target.exists():
        raise VersionExistsError(f"{draft.name}/{manifest.version} is published already; versions are never overwritten")
    temporary = directory / f".tmp-{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        for name, content in draft.files().items():
            _write(temporary / name, content)
        _write(temporary / MANIFEST, manifest.to_bytes())
        _sync_directory(temporary)
        build(read_directory(temporary))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return temporary, target


def _move_into_place(staged: Sequence[tuple[Path, Path]]) -> None:
    moved: list[Path] = []
    try:
        for temporary, target in staged:
            temporary.rename(target)  # fails if the version exists: a directory that is not empty
            moved.append(target)
            _sync_directory(target.parent)
    except OSError as error:
        for target in moved:
            shutil.rmtree(target, ignore_errors=True)
        raise BundleError(f"nothing was published: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened there, and rename is durable without it
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
