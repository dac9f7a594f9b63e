"""The answers of `encodery models`; its options are in `encodery.cli`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bundle import BundleError, Store
from bundle.directory import CARD, MAX_MANIFEST_BYTES, read_file
from bundle.history import Change, read_history
from bundle.lineage import origin_of, replaced_by, told

_FACTS = ("kind", "dim", "space", "description")


def listed(store: Store) -> list[dict[str, Any]]:
    """List one row per published version, from the manifests, the cards and the history."""
    return [
        {"name": name, "version": version, "current": version == current}
        | _facts(store, name, version)
        | {"lineage": _lineage(store, name, version, changes)}
        for name in store.names()
        for current in [_current(store, name)]
        for changes in [read_history(store.root / store.leader(name))]
        for version in store.versions(name)
    ]


def verified(store: Store, name: str) -> list[dict[str, str | None]]:
    """Load every version of a model as the server does. One row each, and one for a broken pointer."""
    results: list[dict[str, str | None]] = []
    try:
        store.current(name)
    except BundleError as error:
        results.append({"name": name, "version": "current", "fault": str(error), "signed_by": None})
    for version in store.versions(name):
        fault = signed_by = None
        try:
            signed_by = store.check_signed(store.manifest(name, version))
            store.load(name, version)
        except BundleError as error:
            fault = str(error)
        results.append({"name": name, "version": version, "fault": fault, "signed_by": signed_by})
    return results


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay the rows out for people; empty if there are none."""
    if not rows:
        return ""
    cells = [
        [
            row["name"],
            row["version"],
            "current" if row["current"] else "",
            *(str(row[fact]) for fact in _FACTS[:-1]),
            _in_words(row["lineage"]),
            str(row[_FACTS[-1]]),
        ]
        for row in rows
    ]
    lines = [["model", "version", "", *_FACTS[:-1], "lineage", _FACTS[-1]], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    ]
    return "\n".join(line.rstrip() for line in padded)


def _facts(store: Store, name: str, version: str) -> dict[str, Any]:
    try:
        manifest = store.manifest(name, version)
    except BundleError as error:
        return dict.fromkeys(_FACTS, "?") | {"description": str(error)}
    return {fact: getattr(manifest, fact) for fact in _FACTS}


def _lineage(store: Store, name: str, version: str, changes: Sequence[Change]) -> dict[str, Any]:
    """What it was made from, and what followed it; of a card that cannot be read nothing."""
    try:
        origin = origin_of(read_file(store.root / name / version / CARD, MAX_MANIFEST_BYTES))
        trained = store.manifest(name, version).trained
    except BundleError:
        return {}
    followed = replaced_by(changes, version)
    return {
        "start": told(origin.start),
        "teacher": told(origin.teacher),
        "data_sha256": trained.data_sha256,
        "replaced_by": asdict(followed) if followed else None,
    }


def _in_words(lineage: Mapping[str, Any]) -> str:
    said = {
        "from": lineage.get("start"),
        "taught by": lineage.get("teacher"),
        "followed by": (lineage.get("replaced_by") or {}).get("version"),
    }
    return ", ".join(f"{how} {what}" for how, what in said.items() if what)


def _current(store: Store, name: str) -> str | None:
    try:
        return store.current(name)
    except BundleError:
        return None
