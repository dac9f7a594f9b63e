"""Names that stand for versions of a model: `current`, which a file beside the versions says, and any others.

    models/<leader>/.aliases/<alias>     {"versions": {"4": {"share": 90, "manifest_digest": "..."}, ...}}

Of encoders that were published together the first by name leads: its aliases are those of all. Two versions
of one space may share an alias, each with a share in percent. How one is changed is in `bundle.switching`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle.directory import MAX_MANIFEST_BYTES, read_file
from bundle.errors import BundleError, IntegrityError
from bundle.manifest import Digest, Manifest, Name

CURRENT, LATEST = "current", "latest"  # the pointer file; and what other protocols call the same
ALIASES = ".aliases"  # the directory of all others
MOST_VERSIONS = 2  # of an alias
SHADOW = "shadow"  # names the version in the shadow of the current one: app.shadow
ALL = 100  # percent


class _Target(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    share: Annotated[int, Field(ge=1, le=ALL)]
    manifest_digest: Digest


class _File(BaseModel):
    """The content of an alias's file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    versions: Annotated[dict[Name, _Target], Field(min_length=1, max_length=MOST_VERSIONS)]


@dataclass(frozen=True)
class Alias:
    """What an alias stands for.

    Attributes:
        shares: version to percent; 100 together.
        digests: of each version's manifest, which must be those that it was pointed to.
        tag: another one after every change, for compare-and-set.
    """

    name: str
    shares: Mapping[str, int]
    digests: Mapping[str, str]
    tag: str


def alias_names(directory: Path) -> list[str]:
    """All of a model but `current`, sorted; files that are still being written are none."""
    try:
        return sorted(name for name in os.listdir(directory / ALIASES) if not name.startswith("."))
    except OSError:
        return []


def read_alias(directory: Path, name: str) -> Alias | None:
    """An alias of a model's directory; None if there is none. Raises BundleError for a file that is none."""
    path = directory / ALIASES / name
    if not os.path.lexists(path):
        return None
    try:
        found = _File.model_validate_json(read_file(path, MAX_MANIFEST_BYTES))
    except (ValidationError, IntegrityError):
        found = None
    if found is None or sum(one.share for one in found.versions.values()) != ALL:
        raise BundleError(f"{directory.name}/{ALIASES}/{name} is not the file of an alias; set it again")
    shares = {version: one.share for version, one in found.versions.items()}
    digests = {version: one.manifest_digest for version, one in found.versions.items()}
    return Alias(name, shares, digests, tag_of(path))


def content_of(shares: Mapping[str, int], manifests: Mapping[str, Manifest]) -> bytes:
    """The file of an alias."""
    versions = {
        version: {"share": share, "manifest_digest": manifests[version].digest}
        for version, share in shares.items()
    }
    return (json.dumps({"versions": versions}, indent=1) + "\n").encode()


def tag_of(path: Path) -> str:
    """Another one for every file that was put here, whether or not it says the same. Raises OSError."""
    status = path.stat()
    stamp = f"{status.st_mtime_ns} {status.st_ino} ".encode()
    return hashlib.sha256(stamp + path.read_bytes()).hexdigest()[:32]
