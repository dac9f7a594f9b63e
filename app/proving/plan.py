"""Which versions a server is to load, decided once: every process that follows it serves the same ones.

A version is pinned by its manifest's digest, so that what is published or switched later cannot mix in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter

from bundle import BundleError, Store
from bundle.aliases import CURRENT


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
    """The versions of one model; the current one first, then those that have aliases, then the others.

    Attributes:
        current: the default version, sound or not; None if the pointer is broken.
        refused: what cannot even be planned.
        aliases: other names of versions, each with the shares of those it stands for, in percent.
        leader: the first by name of the models that were published together with it.
        is_unloaded: somebody wished it gone, so it has no version.
    """

    name: str
    current: str | None
    versions: tuple[Planned, ...]
    refused: tuple[Refused, ...] = ()
    aliases: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    leader: str = ""
    is_unloaded: bool = False

    @property
    def names(self) -> dict[str, list[str]]:
        """The versions behind `current` and each alias; none behind a broken pointer."""
        current = [] if self.current is None else [self.current]
        return {CURRENT: current} | {name: list(shares) for name, shares in self.aliases.items()}

    def settled(self, reason: Callable[[str], str | None]) -> PlannedModel:
        """The same; `reason` tells of a digest why its version was refused."""
        told = [(one, reason(one.digest)) for one in self.versions]
        refused = [Refused(self.name, one.version, why) for one, why in told if why is not None]
        sound = tuple(one for one, why in told if why is None)
        return replace(self, versions=sound, refused=(*self.refused, *refused))

    def with_alias(self, alias: str, shares: Mapping[str, int]) -> PlannedModel:
        """The same where an alias, `current` among them, stands for something else, or for nothing."""
        if alias == CURRENT:
            sound = tuple(one for one in self.refused if one.version is not None)
            return replace(self, current=next(iter(shares)), refused=sound)
        aliases = {name: found for name, found in self.aliases.items() if name != alias}
        sound = tuple(one for one in self.refused if one.version != alias)
        return replace(
            self,
            aliases=dict(sorted((aliases | {alias: shares}).items())) if shares else aliases,
            refused=sound,
        )


@dataclass(frozen=True)
class Wishes:
    """What somebody asked a running server for, beside what the disk says.

    Attributes:
        loaded: versions to be loaded whatever else is, as pairs of name and version.
        unloaded: the same, not to be loaded; of a model with version None none at all.
    """

    loaded: frozenset[tuple[str, str]] = frozenset()
    unloaded: frozenset[tuple[str, str | None]] = frozenset()


NO_WISHES = Wishes()


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

    def model(self, name: str) -> PlannedModel | None:
        """The model of that name."""
        return next((model for model in self.models if model.name == name), None)

    def settled(self, reason: Callable[[str], str | None]) -> Plan:
        """The same with what was refused among the refused: for whoever loads it when all is proven."""
        return Plan(tuple(model.settled(reason) for model in self.models))

    def with_alias(self, models: Collection[str], alias: str, shares: Mapping[str, int]) -> Plan:
        """The same where an alias, `current` among them, of some models stands for something else."""
        return Plan(
            tuple(one.with_alias(alias, shares) if one.name in models else one for one in self.models)
        )

    def has(self, name: str, version: str) -> bool:
        """Tell whether a version is in it."""
        model = self.model(name)
        return model is not None and any(one.version == version for one in model.versions)

    def write(self, path: Path) -> None:
        """For another process."""
        path.write_bytes(_PLAN.dump_json(self))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """What `write` wrote."""
        return _PLAN.validate_json(path.read_bytes())


_PLAN = TypeAdapter(Plan)


def plan_of(
    store: Store,
    versions_per_model: int,
    *,
    before: Plan | None = None,
    wishes: Wishes = NO_WISHES,
    only: Collection[str] | None = None,
    names: Mapping[str, PlannedModel] | None = None,
) -> Plan:
    """Per model the current version, those that have aliases, and others, as many as there may be.

    The others are those that were planned before, what was current then first, so that going back finds it
    loaded; and then the newest. Reads manifests and signatures only; each
    version is pinned by the digest that is signed, so that nobody has to look at signatures again.

    Args:
        store: has the versions.
        versions_per_model: at least; those with names, and those wished for, come in any case.
        before: the plan that is served.
        wishes: of whoever looks after the server.
        only: models to look at anew; the rest stays as it was planned before.
        names: models whose names stand for what these say, and not for what the disk says now.
    """
    known = {model.name: model for model in before.models} if before else {}

    def planned(name: str) -> PlannedModel:
        if only is not None and name not in only and name in known:
            return known[name]
        found = (names or {}).get(name) or _names_of(store, name)
        return _plan_model(store, found, versions_per_model, known.get(name), wishes)

    return Plan(tuple(planned(name) for name in store.names()))


def _names_of(store: Store, name: str) -> PlannedModel:
    """A model with what its names stand for on the disk, and without its versions."""
    refused: list[Refused] = []
    current = None
    try:
        current = store.current(name)
    except BundleError as error:
        refused.append(Refused(name, None, str(error)))
    aliases, broken = _aliases(store, name)
    return PlannedModel(name, current, (), (*refused, *broken), aliases, store.leader(name))


def _plan_model(
    store: Store, names: PlannedModel, count: int, before: PlannedModel | None, wishes: Wishes
) -> PlannedModel:
    name, published = names.name, list(reversed(store.versions(names.name)))
    refused = [one for one in names.refused if one.version not in published]
    if (name, None) in wishes.unloaded:
        return replace(names, versions=(), refused=tuple(refused), is_unloaded=True)
    named = [*([] if names.current is None else [names.current]), *_versions(names.aliases)]
    wished = [version for version in published if (name, version) in wishes.loaded]
    kept = [one.version for one in before.versions if one.version in published] if before else []
    others = [one for one in (*kept, *published) if (name, one) not in wishes.unloaded]
    planned: list[Planned] = []
    for version in _first(dict.fromkeys([*named, *wished]), dict.fromkeys(others), count):
        try:
            manifest = store.manifest(name, version)
            store.check_signed(manifest)
        except BundleError as error:
            refused.append(Refused(name, version, str(error)))
        else:
            size = sum(entry.size for entry in manifest.files.values())
            planned.append(Planned(name, version, manifest.digest, size))
    return replace(names, versions=tuple(planned), refused=tuple(refused), is_unloaded=False)


def _first(needed: Iterable[str], others: Iterable[str], count: int) -> list[str]:
    """All that is needed, and of the others as many as there is room for."""
    found = list(needed)
    return [*found, *[one for one in others if one not in found][: max(0, count - len(found))]]


def _aliases(store: Store, name: str) -> tuple[dict[str, Mapping[str, int]], list[Refused]]:
    """The aliases of a model, and those that cannot be read."""
    found: dict[str, Mapping[str, int]] = {}
    refused: list[Refused] = []
    for alias in store.aliases(name):
        try:
            if (one := store.alias(name, alias)) is not None:
                found[alias] = dict(one.shares)
        except BundleError as error:
            refused.append(Refused(name, alias, str(error)))
    return found, refused


def _versions(aliases: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for shares in aliases.values():
        yield from shares
