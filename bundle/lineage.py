"""Where a published version comes from, by its card, and what followed it, by the history of its model.

    README.md   Started from NAME/VERSION, space SPACE; ...
                The whole config: ...                        as the training writes them
    history     current: 4 -> 7                              so 4 was replaced by 7

A card of another maker says nothing of it, and neither does one that was cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bundle.aliases import CURRENT
from bundle.history import Change
from bundle.manifest import Reference

CONFIG = "The whole config:\n\n"  # in a card, before the config as indented JSON
STARTED = "Started from"  # NAME/VERSION
_STARTED = re.compile(rf"^{STARTED} ([a-z0-9._-]{{1,64}})/([a-z0-9._-]{{1,64}}), space ", re.MULTILINE)


@dataclass(frozen=True)
class Origin:
    """What a version was made from.

    Attributes:
        start: the published encoder whose weights it began with.
        teacher: the encoder that it was taught by; a published one, or where it was taken from.
    """

    start: Reference | None = None
    teacher: Reference | str | None = None


@dataclass(frozen=True)
class Replaced:
    """What became current after a version.

    Attributes:
        at: when that began, ISO 8601.
    """

    version: str
    at: str


def origin_of(content: bytes) -> Origin:
    """What a card says."""
    card = content.decode(errors="replace")
    start = _STARTED.search(card)
    return Origin(Reference(name=start[1], version=start[2]) if start else None, _teacher(card))


def told(origin: Reference | str | None) -> str | None:
    """For people: NAME/VERSION, or the source."""
    return f"{origin.name}/{origin.version}" if isinstance(origin, Reference) else origin


def replaced_by(changes: Iterable[Change], version: str) -> Replaced | None:
    """What followed a version when it was current last; None while it is, or if it never was.

    Args:
        changes: of its model, the newest first.
        version: of the model.
    """
    for one in changes:
        if one.alias != CURRENT or one.outcome != "done":
            continue
        if version in one.after:
            return None
        if version in one.before and one.after:
            return Replaced(next(iter(one.after)), one.at)
    return None


def _teacher(card: str) -> Reference | str | None:
    _, _, config = card.partition(CONFIG)
    try:
        found, _ = json.JSONDecoder().raw_decode(config.lstrip())
        teacher = found["teacher"]
        name, _, version = str(teacher.get("model") or "").partition("@")
        if name and version:
            return Reference(name=name, version=version)
        source = teacher.get("model") or teacher.get("source")
        return str(source) if source else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
