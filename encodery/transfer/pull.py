"""Fetching published versions: resumable, verified by their manifest, proven, then made current.

version -> manifest.json -> .partial/SHA256 of each file, from where it stopped -> `bundle.install`
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bundle import Manifest
from bundle.directory import GRAPH, MAX_FILE_BYTES, MAX_GRAPH_BYTES, parse_manifest
from bundle.disk import publishing
from bundle.errors import SignatureError
from bundle.install import Foreign, absent, install
from bundle.manifest import FileEntry
from bundle.shipped import refuse_shipped
from bundle.signatures import MAX_SIGNATURES_BYTES, SIGNATURES, TrustedKeys
from bundle.store import check_name
from encodery.transfer.base import Place
from encodery.transfer.errors import Interrupted, TransferError

PARTIAL = ".partial"  # in the directory of models: files that are still coming, by what they will be
ATTEMPTS, FIRST_WAIT_S = 5, 0.5

T = TypeVar("T")
Wait = Callable[[float], None]  # seconds
Progress = Callable[[Manifest, str, int, int], None]  # a file of it, bytes so far, bytes in all


@dataclass(frozen=True)
class Wanted:
    """A model, and which of its versions: NAME, NAME@VERSION or NAME@ALIAS."""

    name: str
    version: str | None = None

    @classmethod
    def parsed(cls, text: str) -> Wanted:
        """Raises BundleError for what is no name."""
        name, _, version = text.partition("@")
        return cls(check_name(name), check_name(version) if version or "@" in text else None)


def pull(
    place: Place,
    wanted: Wanted,
    models: Path,
    *,
    use: bool = True,
    progress: Progress = lambda manifest, file, done, size: None,
    wait: Wait = time.sleep,
    trusted: TrustedKeys | None = None,
) -> list[Manifest]:
    """Fetch a version, and those that were published with it, into a directory of models.

    Args:
        place: where from.
        wanted: what.
        models: the directory; one that is not there is made.
        use: makes them current when all are proven.
        progress: is told what came.
        wait: seconds between attempts.
        trusted: keys of which one must have signed each of them; it is looked at before any file comes.

    Raises:
        BundleError: it is not there, is not what its manifest says, or does not pass the loader; what was
            there before is as it was, and what came of it is kept for the next attempt.
    """
    refuse_shipped(models)
    version = check_name(_again(lambda: place.version(wanted.name, wanted.version), wait))
    group = [_manifest(place, wanted.name, version, wait)]
    group += [_manifest(place, peer.name, peer.version, wait) for peer in group[0][0].peers]
    manifests = [manifest for manifest, _ in group]
    signatures = {one.name: _signatures(place, one, trusted, wait) for one in manifests}
    models.mkdir(parents=True, exist_ok=True)
    partial = models / PARTIAL
    partial.mkdir(exist_ok=True)
    with publishing(partial):
        for manifest in absent(models, manifests):
            for file, entry in manifest.files.items():
                _fetch(place, manifest, file, partial / entry.sha256, progress=progress, wait=wait)

        def foreign(manifest: Manifest, content: bytes) -> Foreign:
            return Foreign(
                manifest,
                content,
                lambda name: (partial / manifest.files[name].sha256).read_bytes(),
                signatures[manifest.name],
            )

        done = install(models, [foreign(*one) for one in group], use=use)
        for manifest in manifests:
            for entry in manifest.files.values():
                (partial / entry.sha256).unlink(missing_ok=True)
    return done


def _manifest(place: Place, name: str, version: str, wait: Wait) -> tuple[Manifest, bytes]:
    content = _again(lambda: place.manifest(name, version), wait)
    manifest = parse_manifest(content)
    if (manifest.name, manifest.version) != (name, version):
        raise TransferError(f"what was sent as {name}/{version} is {manifest.name}/{manifest.version}")
    for file, entry in manifest.files.items():
        if entry.size > (MAX_GRAPH_BYTES if file == GRAPH else MAX_FILE_BYTES):
            raise TransferError(f"{name}/{version}: {file} would be larger than a bundle's may be")
    return manifest, content


def _signatures(place: Place, manifest: Manifest, trusted: TrustedKeys | None, wait: Wait) -> bytes | None:
    """The signatures of a version as they are there. Raises SignatureError if none is by a trusted key."""
    content = _again(lambda: place.signatures(manifest.name, manifest.version), wait)
    if content is not None and len(content) > MAX_SIGNATURES_BYTES:
        raise TransferError(f"{manifest.name}/{manifest.version}: its {SIGNATURES} is larger than one may be")
    if trusted is not None:
        try:
            trusted.check(manifest.digest, content)
        except SignatureError as error:
            raise SignatureError(f"{manifest.name}/{manifest.version}: {error}") from None
    return content


def _fetch(
    place: Place, manifest: Manifest, file: str, target: Path, *, progress: Progress, wait: Wait
) -> None:
    """Bring a file, from where an attempt before stopped. Raises TransferError if it is another one."""
    entry = manifest.files[file]

    def attempt() -> None:
        start = target.stat().st_size if target.exists() else 0
        if start >= entry.size:
            return
        with target.open("ab") as out:
            for piece in place.stream(manifest, file, start):
                start += len(piece)
                if start > entry.size:
                    break  # it is told below, by its digest
                out.write(piece)
                progress(manifest, file, start, entry.size)
        if start < entry.size:
            raise Interrupted(f"{file} ended after {start} of {entry.size} bytes")

    _again(attempt, wait)
    if not _is(target, entry):
        target.unlink(missing_ok=True)
        raise TransferError(
            f"{manifest.name}/{manifest.version}: {file} is not the file that was published; it was removed, "
            "so that the next attempt begins anew"
        )


def _is(path: Path, entry: FileEntry) -> bool:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return path.stat().st_size == entry.size and digest.hexdigest() == entry.sha256


def _again(action: Callable[[], T], wait: Wait) -> T:
    """What it returns; connections that end are begun again a few times, later each time."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return action()
        except Interrupted:
            wait(FIRST_WAIT_S * 2**attempt)
    return action()
