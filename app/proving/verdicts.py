"""What proving found of a version, and where a process that loads it looks for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from app.shared.files import write_whole


@dataclass(frozen=True)
class Verdict:
    """What proving found of one version.

    Attributes:
        reason: why it was refused; None for one that is proven.
        weights: the directory of its weights as prepared for this machine; None if there is none.
        files: SHA-256 of each file there, by its path.
        pace: what `app.engine.tuning` measured, as its own; None until then.
        prove_s: how long it took.
    """

    reason: str | None = None
    weights: Path | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    pace: Mapping[str, Any] | None = None
    prove_s: float = 0.0

    def to_bytes(self) -> bytes:
        """For another process, or to keep."""
        return _VERDICT.dump_json(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> Verdict:
        """What `to_bytes` gave. Raises ValueError."""
        return _VERDICT.validate_json(content)


_VERDICT = TypeAdapter(Verdict)


class Verdicts(Protocol):
    """Verdicts by the digest of a version's manifest; a later one takes the place of an earlier one."""

    def get(self, digest: str) -> Verdict | None:
        """None while there is none."""
        ...

    def put(self, digest: str, verdict: Verdict) -> None:
        """Let the loading process know."""
        ...


class VerdictsInMemory:
    """For a process that proves and loads."""

    def __init__(self) -> None:
        self._by_digest: dict[str, Verdict] = {}

    def get(self, digest: str) -> Verdict | None:
        return self._by_digest.get(digest)

    def put(self, digest: str, verdict: Verdict) -> None:
        self._by_digest[digest] = verdict


class VerdictFiles:
    """For processes that load what another one proves: one small file each.

    Args:
        directory: private to them, and to one round.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, digest: str) -> Verdict | None:
        try:
            return Verdict.from_bytes(self._path(digest).read_bytes())
        except FileNotFoundError:
            return None

    def put(self, digest: str, verdict: Verdict) -> None:
        write_whole(self._path(digest), verdict.to_bytes())

    def _path(self, digest: str) -> Path:
        return self._directory / f"verdict-{digest}.json"
