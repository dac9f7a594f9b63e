"""The answers of `encodery models`; its options are in `encodery.cli`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bundle import BundleError, Store

_FACTS = ("kind", "dim", "space", "description")


def listed(store: Store) -> list[dict[str, Any]]:
    """List one row per published version, from the manifests alone."""
    return [
        {"name": name, "version": version, "current": version == current} | _facts(store, name, version)
        for name in store.names()
        for current in [_current(store, name)]
        for version in store.versions(name)
    ]


def verified(store: Store, name: str) -> list[dict[str, str | None]]:
    """Load every version of a model as the server does. One row each, and one for a broken pointer."""
    results: list[dict[str, str | None]] = []
    try:
        store.current(name)
    except BundleError as error:
        results.append({"name": name, "version": "current", "fault": str(error)})
    for version in store.versions(name):
        fault = None
        try:
            store.load(name, version)
        except BundleError as error:
            fault = str(error)
        results.append({"name": name, "version": version, "fault": fault})
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
            *(str(row[fact]) for fact in _FACTS),
        ]
        for row in rows
    ]
    lines = [["model", "version", "", *_FACTS], *cells]
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


def _current(store: Store, name: str) -> str | None:
    try:
        return store.current(name)
    except BundleError:
        return None
