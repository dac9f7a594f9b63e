"""From a change of aliases or of what is loaded to plans: which versions it needs, and what may not be.

Decides and checks; `app.generations.controller` brings the processes to what is decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from app.generations.changes import ChangeRefusedError, Load, SetAlias, Unload
from app.proving import Plan, Wishes
from bundle import (
    AliasChangedError,
    BundleError,
    Manifest,
    SpaceChangeError,
    Store,
    remove_alias,
    set_alias,
)
from bundle.aliases import ALIASES, CURRENT
from bundle.disk import DISK
from bundle.history import Change, Shares, record_refused
from bundle.switching import check_shares, check_spaces, expected


def group_of(store: Store, name: str, version: str | None) -> tuple[str, list[str]]:
    """The version that is meant, and the names of all of its pair. Raises ChangeRefusedError."""
    try:
        check_published(store, name, [] if version is None else [version])
        found = version or store.current(name)
        return found, sorted({name, *(peer.name for peer in store.manifest(name, found).peers)})
    except BundleError as error:
        raise ChangeRefusedError("not_published", str(error)) from None


def check_published(store: Store, name: str, versions: Iterable[str]) -> None:
    """Raise ChangeRefusedError for a version that is not published; it may be anything that was sent."""
    published = store.versions(name)
    if not set(versions) <= set(published):
        raise ChangeRefusedError(
            "not_published", f"that version is not published; {name} has: {', '.join(published) or 'none'}"
        )


def with_loaded(wishes: Wishes, change: Load, version: str, group: list[str]) -> Wishes:
    """The wishes, with a version that is to be loaded."""
    each = [(name, version) for name in group]
    asked = set(each) if change.version is not None else set()
    return without_unloaded(replace(wishes, loaded=wishes.loaded | asked), each)


def without_unloaded(wishes: Wishes, versions: Iterable[tuple[str, str]]) -> Wishes:
    """The wishes, where these versions, and so their models, are not to be unloaded any more."""
    back = {(name, which) for name, version in versions for which in (version, None)}
    return replace(wishes, unloaded=wishes.unloaded - back)


def with_unloaded(
    wishes: Wishes, change: Unload, plan: Plan, group: list[str], required: list[str]
) -> Wishes:
    """The wishes, with what is not to be loaded. Raises ChangeRefusedError for what is needed."""
    if change.version is None:
        if needed := [name for name in group if name in required]:
            raise ChangeRefusedError(
                "in_use", f"readiness needs {' and '.join(needed)} (ENCODERY_REQUIRED_MODELS)"
            )
        return replace(wishes, unloaded=wishes.unloaded | {(name, None) for name in group})
    if not plan.has(change.model, change.version):
        raise ChangeRefusedError("not_published", f"{change.model}/{change.version} is not loaded")
    for name in group:
        model = plan.model(name)
        names = [alias for alias, of in model.names.items() if change.version in of] if model else []
        if names:
            raise ChangeRefusedError(
                "in_use",
                f"{change.version} is the {' and '.join(names)} version of {name}; change that first",
            )
    return Wishes(
        wishes.loaded - {(name, change.version) for name in group},
        wishes.unloaded | {(name, change.version) for name in group},
    )


def check_alias(store: Store, change: SetAlias) -> None:
    """Raise ChangeRefusedError where an alias may not be changed so."""
    try:
        if change.alias != CURRENT:  # which may be what is to be mended
            store.current(change.model)
    except BundleError as error:
        raise ChangeRefusedError("not_published", str(error)) from None
    try:
        if change.shares or change.alias == CURRENT:
            check_shares(change.alias, change.shares)
    except BundleError as error:
        raise ChangeRefusedError("not_valid", str(error)) from None
    check_published(store, change.model, change.shares)
    try:
        before = expected(store, change.model, change.alias, change.seen)
        if before is None and not change.shares:
            raise ChangeRefusedError("no_alias", f"{change.model} has no alias of that name")
        manifests: dict[str, Manifest] = {
            version: store.manifest(change.model, version) for version in change.shares
        }
        if manifests:
            check_spaces(store, change.model, before, manifests, new_space=change.new_space)
    except AliasChangedError as error:
        raise ChangeRefusedError("alias_changed", str(error)) from None
    except SpaceChangeError as error:
        raise ChangeRefusedError("space_change", str(error)) from None
    except BundleError as error:
        raise ChangeRefusedError("not_published", str(error)) from None


def alias_files(store: Store, group: list[str], alias: str) -> set[Path]:
    """The files that are written when an alias of a pair changes, as `Store.stamp` names them."""
    if alias == CURRENT:
        return {store.root / name / CURRENT for name in group}
    directory = store.root / store.leader(group[0]) / ALIASES
    return {directory, directory / alias}


def write_alias(models: Path, change: SetAlias, began_s: float) -> None:
    """Change it on the disk. Raises ChangeRefusedError."""
    try:
        if change.shares:
            set_alias(
                models,
                change.model,
                change.alias,
                change.shares,
                seen=change.seen,
                new_space=change.new_space,
                who=change.who,
                began_s=began_s,
                reads=False,
            )
        else:
            remove_alias(models, change.model, change.alias, seen=change.seen, who=change.who)
    except AliasChangedError as error:
        raise ChangeRefusedError("alias_changed", str(error)) from None
    except BundleError as error:
        raise ChangeRefusedError("failed", str(error)) from None


def record_refusal(store: Store, change: SetAlias, began_s: float, reason: str) -> None:
    """Have the history of the model tell of it."""
    before: Shares = {}
    with suppress(BundleError):
        found = store.alias(change.model, change.alias)
        before = found.shares if found else {}
    begun = Change.begun(change.who, change.alias, before, change.shares)
    record_refused(store.root / store.leader(change.model), DISK, begun, began_s, reason)
