"""Changing what names stand for: `current` and other aliases, for all encoders of a pair, or for none.

    lock -> compare with what was seen -> check versions and spaces -> history -> one rename -> history

One rename decides (the pointer, or the alias, of the first of a pair by name), so a crash anywhere leaves
what was or what is.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bundle.aliases import ALIASES, ALL, CURRENT, LATEST, MOST_VERSIONS, SHADOW, Alias, content_of
from bundle.disk import DISK, Disk, publishing
from bundle.errors import AliasChangedError, BundleError, SpaceChangeError
from bundle.history import Change, Shares, recorded
from bundle.manifest import Manifest, Reference
from bundle.store import TEMPORARY, Store, check_name, remove_leftovers

ANY, NONE = "*", ""  # tags: an alias that is there, whatever it stands for; one that is not there

_NOT_CURRENT = (  # a write that the disk refuses late may have been done
    "version {version} is published, but making it current did not end well; `encodery models list` shows "
    "what is current, and `encodery models use {name} {version}` does it again"
)


def switch_current(models: Path, name: str, version: str, *, disk: Disk = DISK) -> list[Reference]:
    """Make a published version the default, for all encoders of its space. Returns what was switched.

    Raises:
        BundleError: a file of theirs is not as published, or the disk fails; nothing is switched.
    """
    set_alias(models, name, CURRENT, {version: ALL}, new_space=True, disk=disk)
    return [Reference(name=name, version=version), *Store(models).manifest(name, version).peers]


def set_alias(
    models: Path,
    name: str,
    alias: str,
    shares: Shares,
    *,
    seen: str | None = None,
    new_space: bool = False,
    who: str | None = None,
    began_s: float | None = None,
    reads: bool = True,
    disk: Disk = DISK,
) -> Alias:
    """Let an alias stand for a version, or for two of one space by their shares.

    Args:
        models: the directory of models.
        name: of one; those that were published with it are changed as well.
        alias: `current`, or any other.
        shares: version to percent.
        seen: the tag that it must have, or ANY, or NONE; by default it may stand for anything.
        new_space: vectors under this name may be of another space than before.
        who: for the history; by default the user of the machine.
        began_s: monotonic, for the history; by default now.
        reads: every file of the versions; not where they have just been proven.
        disk: where every change goes through.

    Raises:
        AliasChangedError: it does not have that tag.
        SpaceChangeError: the space would be another one, or two versions are not of one space.
        BundleError: there is no such version, a file of it is not as published, or the disk fails.
    """
    store, began_s = Store(models), time.monotonic() if began_s is None else began_s
    check_shares(alias, shares)
    names = sorted({name, *(one.name for one in store.manifest(name, next(iter(shares))).peers)})
    with told_as("nothing was switched"), alone(models, names, disk):
        before = expected(store, name, alias, seen)
        read = _reader(store, reads=reads)
        manifests = {version: read(name, version) for version in shares}
        check_spaces(store, name, before, manifests, new_space=new_space)
        _check_group(store, name, alias, names, manifests)
        if alias == CURRENT:
            [version] = shares
            group = [read(each, version) for each in names]
            make_current(models, group, disk, who=who, began_s=began_s)
        else:
            leader = models / names[0]
            of_leader = {version: read(names[0], version) for version in shares}
            change = Change.begun(who, alias, before.shares if before else {}, shares)
            with recorded(leader, disk, change, began_s):
                disk.make_directory(leader / ALIASES)
                _put(leader / ALIASES / alias, content_of(shares, of_leader), disk)
    found = store.alias(name, alias)
    assert found is not None
    return found


def remove_alias(
    models: Path,
    name: str,
    alias: str,
    *,
    seen: str | None = None,
    who: str | None = None,
    disk: Disk = DISK,
) -> None:
    """Let an alias stand for nothing. Raises as `set_alias`; for one that is not there, too."""
    store, began_s = Store(models), time.monotonic()
    if alias == CURRENT:
        raise BundleError(f"a model always has a {CURRENT} version; make another one current")
    store.current(name)  # there is such a model
    with told_as("nothing was switched"):
        leader = models / store.leader(name)
        with alone(models, [leader.name], disk):
            before = expected(store, name, alias, ANY if seen is None else seen)
            was = before.shares if before else {}
            with recorded(leader, disk, Change.begun(who, alias, was, {}), began_s):
                disk.unlink(leader / ALIASES / alias)


def check_shares(alias: str, shares: Shares) -> None:
    """Raise BundleError for what cannot be an alias, or be shared."""
    if alias == LATEST or check_name(alias).isdecimal():
        raise BundleError(f"an alias is not {LATEST}, which is {CURRENT}, and no number, which is a version")
    for version in shares:
        check_name(version)
    most = 1 if alias in (CURRENT, SHADOW) else MOST_VERSIONS
    if not 1 <= len(shares) <= most:
        raise BundleError(f"such an alias stands for 1 to {most} versions, not for {len(shares)}")
    if sum(shares.values()) != ALL or min(shares.values()) < 1:
        raise BundleError(f"shares are whole numbers from 1 on, {ALL} together")


def expected(store: Store, name: str, alias: str, seen: str | None) -> Alias | None:
    """What an alias stands for now; no version at all where its file cannot be used.

    Raises AliasChangedError where that is not what somebody has seen.
    """
    try:
        found = store.alias(name, alias)
    except BundleError:
        if seen not in (None, ANY):
            raise
        if not os.path.lexists(store.root / store.leader(name) / alias) and alias == CURRENT:
            return None  # it was never set
        return Alias(alias, {}, {}, "")
    if seen == NONE and found is not None:
        raise AliasChangedError(f"{name} has an alias of that name already")
    if seen not in (None, NONE) and found is None:
        raise AliasChangedError(f"{name} has no alias of that name")
    if seen not in (None, ANY, NONE) and found is not None and found.tag != seen:
        raise AliasChangedError(
            f"the alias of {name} was changed since; it stands for {written(found.shares)} now; look again"
        )
    return found


def check_spaces(
    store: Store,
    name: str,
    before: Alias | None,
    manifests: Mapping[str, Manifest],
    *,
    new_space: bool,
) -> None:
    """Raise SpaceChangeError where vectors under a name could not be compared, with others or older ones."""
    together = common_spaces(manifests.values())
    spaces = " and ".join(f"{version} is of {one.space}" for version, one in manifests.items())
    if not together:
        raise SpaceChangeError(f"two versions share an alias within one space only: {spaces}")
    if before is None or new_space:
        return
    if not before.shares:
        raise SpaceChangeError(
            f"what the alias of {name} stood for cannot be read, so nobody can tell whether old vectors and "
            "new ones could be compared; say that a new space may be meant"
        )
    was = {version: store.manifest(name, version) for version in before.shares}
    if not common_spaces([*was.values(), *manifests.values()]):
        told = " and ".join(f"{version}, of {one.space}" for version, one in was.items())
        raise SpaceChangeError(
            f"the alias of {name} stands for {told}, and {spaces}: old vectors and new ones cannot be "
            "compared; say that a new space is meant"
        )


def common_spaces(manifests: Iterable[Manifest]) -> list[str]:
    """The spaces in which vectors of all of them may be compared; of the first its own comes first."""
    each = [one.spaces_of(one.dim) for one in manifests]
    return [space for space in each[0] if all(space in spaces for spaces in each)]


def written(shares: Shares) -> str:
    """The versions, and where there are two their shares."""
    if len(shares) == 1:
        return next(iter(shares))
    return " and ".join(f"{version} ({share} %)" for version, share in shares.items())


def make_current(
    models: Path, manifests: Sequence[Manifest], disk: Disk, *, who: str | None, began_s: float
) -> None:
    """Write the pointers, the deciding one (the first by name) last, so that it switches all."""
    first = min(manifests, key=lambda each: each.name)
    before: Shares = {}
    with suppress(BundleError):
        before = {Store(models).current(first.name): ALL}
    change = Change.begun(who, CURRENT, before, {first.version: ALL})
    with (
        told_as(_NOT_CURRENT.format(name=first.name, version=first.version)),
        recorded(models / first.name, disk, change, began_s),
    ):
        for manifest in sorted(manifests, key=lambda each: each.name, reverse=True):
            pointer = {"version": manifest.version, "manifest_digest": manifest.digest}
            _put(models / manifest.name / CURRENT, (json.dumps(pointer, indent=1) + "\n").encode(), disk)


@contextmanager
def told_as(outcome: str) -> Iterator[None]:
    """Say of what the disk refuses what came of it."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"{outcome}: {error.strerror or error}") from error


@contextmanager
def alone(models: Path, names: Sequence[str], disk: Disk) -> Iterator[None]:
    """Be the only publisher of these models, with what dead publishers left behind removed."""
    with ExitStack() as locks:
        for name in sorted(names):
            locks.enter_context(publishing(models / name, disk))
            remove_leftovers(models / name, disk)
        yield


def temporary_in(directory: Path) -> Path:
    """A name in a model's directory that nothing else has."""
    return directory / f"{TEMPORARY}{uuid.uuid4().hex}"


def _reader(store: Store, *, reads: bool) -> Callable[[str, str], Manifest]:
    """Gives the manifest of a version, and checks its files."""
    return (lambda name, version: store.read(name, version).manifest) if reads else store.manifest


def _check_group(
    store: Store, name: str, alias: str, names: Sequence[str], manifests: Mapping[str, Manifest]
) -> None:
    """Raise BundleError where the versions, or `current`, were not published by the same models together."""
    groups = [sorted([name, *(peer.name for peer in one.peers)]) for one in manifests.values()]
    if alias != CURRENT:
        groups.append(
            sorted([name, *(peer.name for peer in store.manifest(name, store.current(name)).peers)])
        )
    if any(group != list(names) for group in groups):
        raise BundleError(f"the versions of {name} were not published together with the same other models")


def _put(path: Path, content: bytes, disk: Disk) -> None:
    """Put a file in the place of another, at once; what is half-written stands beside the versions."""
    directory = path.parent.parent if path.parent.name == ALIASES else path.parent
    temporary = temporary_in(directory)
    try:
        disk.write(temporary, content)
        disk.replace(temporary, path)
    finally:
        disk.remove(temporary)
