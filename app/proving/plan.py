"""Which versions a server is to load, decided once: every process that follows it serves the same ones.

A version is pinned by its manifest's digest, so that what is published or switched later cannot mix in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from bundle import BundleError, Store


@dataclass(frozen=True)
class Refused:
    """A version that was not loaded, or a model without a valid pointer (version None)."""

    name: str
    version: str | None
    reason: str


@dataclass(frozen=True)
class Planned:
    """A version to prove and load; `size` is the bytes of all its files."""

    name: str
    version: str
    digest: str
    size: int


@dataclass(frozen=True)
class PlannedModel:
    """The versions of one model; the current one first, then the newest first.

    Attributes:
        current: the default version, sound or not; None if the pointer is broken.
        refused: what cannot even be planned.
    """

    name: str
    current: str | None
    versions: tuple[Planned, ...]
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True)
class Plan:
    """Every model of the directory, by name."""

    models: tuple[PlannedModel, ...] = ()

    @property
    def names(self) -> list[str]:
        """Of the models."""
        return [model.name for model in self.models]

    @property
    def refused(self) -> list[Refused]:
        """What cannot be planned."""
        return [one for model in self.models for one in model.refused]

    def versions(self, first: Collection[str] = ()) -> list[Planned]:
        """All versions in the order to load them: current ones first, and of these the models named."""
        found = [(model, one) for model in self.models for one in model.versions]
        found.sort(key=lambda pair: (pair[1].version != pair[0].current, pair[0].name not in first))
        return [one for _, one in found]

    def currents(self) -> Iterator[Planned]:
        """The current version of each model that has one."""
        for model in self.models:
            yield from (one for one in model.versions if one.version == model.current)

    def write(self, path: Path) -> None:
        """For another process."""
        path.write_bytes(_PLAN.dump_json(self))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """What `write` wrote."""
        return _PLAN.validate_json(path.read_bytes())


_PLAN = TypeAdapter(Plan)


def plan_of(store: Store, versions_per_model: int, before: Plan | None = None) -> Plan:
    """Per model the current version and others, as many as there may be. Reads manifests only.

    The others are those that were planned before, what was current then first, so that going back finds it
    loaded; and then the newest.
    """
    known = {model.name: model.versions for model in before.models} if before else {}
    return Plan(
        tuple(_plan_model(store, name, versions_per_model, known.get(name, ())) for name in store.names())
    )


def _plan_model(store: Store, name: str, count: int, before: Collection[Planned]) -> PlannedModel:
    refused: list[Refused] = []
    current = None
    try:
        current = store.current(name)
    except BundleError as error:
        refused.append(Refused(name, None, str(error)))
    newest = list(reversed(store.versions(name)))
    kept = [one.version for one in before if one.version in newest]
    wanted = dict.fromkeys([*([] if current is None else [current]), *kept, *newest])
    planned: list[Planned] = []
    for version in list(wanted)[:count]:
        try:
            manifest = store.manifest(name, version)
        except BundleError as error:
            refused.append(Refused(name, version, str(error)))
        else:
            size = sum(entry.size for entry in manifest.files.values())
            planned.append(Planned(name, version, manifest.digest, size))
    return PlannedModel(name, current, tuple(planned), tuple(refused))
