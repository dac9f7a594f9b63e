"""Writing bundles: all or nothing, proven before they are seen, never overwritten.

    draft -> temporary directory -> fsync -> verified by the server's own loader -> rename -> pointer

A pair (user and item tower) is published in one call. The loader refuses one half without the other, and
of their pointers one decides (see `Store.current`), so a crash anywhere leaves the old pair or the new.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bundle.aliases import CURRENT
from bundle.directory import CARD, GOLDEN, GRAPH, MANIFEST, Contents, read_directory
from bundle.disk import DISK, Disk
from bundle.errors import BundleError, ManifestError, VersionExistsError
from bundle.graph import check_graph
from bundle.lexical import LEXICAL, Lexical
from bundle.manifest import Adapts, FileEntry, Joined, Manifest, Parity, Reference, Trained, space_id
from bundle.preprocess import KINDS
from bundle.store import Store, build, check_name, lexical_in
from bundle.switching import alone, make_current, temporary_in, told_as
from bundle.words import first_error


@dataclass(frozen=True)
class Draft:
    """An encoder about to be published; all that its manifest cannot derive by itself.

    Attributes:
        preprocessor: content of tokenizer.json or features.json.
        golden: content of golden.json.
        card: content of the model card, README.md.
        dimensions: lengths a vector may be cut to, `dim` included.
        prompts, default_prompt, joins, adapts, languages, respell, not_for: see `Manifest`.
        lexical: statistics of words, for kinds that may have them.
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
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    joins: Joined | None = None
    adapts: Adapts | None = None
    languages: Sequence[str] = ()
    respell: Literal[0, 1] = 0
    not_for: str = ""
    lexical: Lexical | None = field(default=None, repr=False)

    @classmethod
    def of(cls, contents: Contents) -> Draft:
        """A published encoder, to be published again with something else."""
        manifest, files = contents.manifest, contents.files
        preprocessor = KINDS[manifest.kind].load(files[KINDS[manifest.kind].file], manifest.max_length)
        return cls(
            name=manifest.name,
            description=manifest.description,
            kind=manifest.kind,
            graph=files[GRAPH],
            preprocessor=files[KINDS[manifest.kind].file],
            golden=files[GOLDEN],
            card=files[CARD].decode(),
            dim=manifest.dim,
            dimensions=manifest.dimensions,
            normalized=manifest.normalized,
            metric=manifest.metric,
            max_length=manifest.max_length,
            parity=manifest.parity,
            trained=manifest.trained,
            prompts=manifest.prompts,
            default_prompt=manifest.default_prompt,
            joins=manifest.joins,
            adapts=manifest.adapts,
            languages=manifest.languages,
            respell=manifest.respell,
            not_for=manifest.not_for,
            lexical=lexical_in(files, preprocessor),
        )

    def files(self) -> dict[str, bytes]:
        """File name to content, all but the manifest."""
        return {
            GRAPH: self.graph,
            KINDS[self.kind].file: self.preprocessor,
            GOLDEN: self.golden,
            CARD: self.card.encode(),
        } | ({} if self.lexical is None else {LEXICAL: self.lexical.to_bytes()})


def publish(
    models: Path, drafts: Sequence[Draft], version: str | None = None, *, disk: Disk = DISK
) -> list[Manifest]:
    """Publish encoders that share one space, and make the new version the current one.

    Args:
        models: the directory of models.
        drafts: one encoder, or the towers of a pair.
        version: its name; by default the next number that none of them has used.
        disk: where every change goes through.

    Raises:
        VersionExistsError: one of them has that version already.
        BundleError: a draft does not pass the loader, somebody else is publishing it, or the disk fails;
            nothing is published.
    """
    names = [draft.name for draft in drafts]
    assert names, "nothing to publish"
    if len(set(names)) < len(names):
        raise BundleError(f"two drafts are called alike: {sorted(names)}")
    began_s = time.monotonic()
    with told_as("nothing was published"):
        for name in names:
            disk.make_directory(models / check_name(name))
        with alone(models, names, disk):
            manifests = _manifests(drafts, _new_version(Store(models), names, version))
            _put_in_place(models, drafts, manifests, disk)
            make_current(models, manifests, disk, who=None, began_s=began_s)
    return manifests


def _new_version(store: Store, names: Sequence[str], version: str | None) -> str:
    if version is None:
        used = [int(v) for name in names for v in store.versions(name) if v.isdecimal()]
        version = str(max(used, default=0) + 1)
    if check_name(version) == CURRENT:
        raise BundleError(f"a version cannot be called {CURRENT!r}: the pointer file is")
    for name in names:
        if (store.root / name / version).exists():
            raise VersionExistsError(f"{name}/{version} is there already; versions are never overwritten")
    return version


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
        ).sealed()
        for manifest in single
    ]


def _manifest(draft: Draft, version: str) -> Manifest:
    if draft.kind not in KINDS:
        raise ManifestError(f"kind {draft.kind!r} is not one of {sorted(KINDS)}")
    try:
        return _unproven(draft, version)
    except ValidationError as error:
        raise ManifestError(f"{draft.name}: {first_error(error)}") from None


def _unproven(draft: Draft, version: str) -> Manifest:
    """What the draft says, not yet part of a space."""
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
        joins=draft.joins,
        adapts=draft.adapts,
        dim=draft.dim,
        dimensions=list(draft.dimensions),
        normalized=draft.normalized,
        metric=draft.metric,
        max_length=draft.max_length,
        prompts=dict(draft.prompts),
        default_prompt=draft.default_prompt,
        languages=list(draft.languages),
        respell=draft.respell,
        not_for=draft.not_for,
        opset=check_graph(draft.graph),
        files={
            name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
            for name, content in draft.files().items()
        },
        parity=draft.parity,
        trained=draft.trained,
    )


def _put_in_place(models: Path, drafts: Sequence[Draft], manifests: Sequence[Manifest], disk: Disk) -> None:
    """Write and prove all under temporary names, and rename them."""
    staged: list[tuple[Path, Path]] = []
    try:
        for draft, manifest in zip(drafts, manifests, strict=True):
            directory = models / manifest.name
            staged.append((temporary_in(directory), directory / manifest.version))
            _stage(staged[-1][0], draft, manifest, disk)
        move_into_place(staged, disk)
    finally:
        for temporary, _ in staged:
            disk.remove(temporary)


def _stage(temporary: Path, draft: Draft, manifest: Manifest, disk: Disk) -> None:
    """Write one bundle under a temporary name, and prove it as the server will."""
    disk.make_directory(temporary)
    for name, content in draft.files().items():
        disk.write(temporary / name, content)
    disk.write(temporary / MANIFEST, manifest.to_bytes())
    build(read_directory(temporary))


def move_into_place(staged: Sequence[tuple[Path, Path]], disk: Disk) -> None:
    """Rename all or, if one fails, none."""
    try:
        for temporary, target in staged:
            disk.rename(temporary, target)
    except BaseException:
        for temporary, target in staged:
            if not temporary.exists():
                disk.remove(target)
        raise
