"""The encoders in memory: what is loaded, what still loads, and what was refused and why.

A registry never changes: `app.engine.loading` makes the next one as more is loaded. A request takes its
encoder from one and keeps it to the end, so no answer mixes two versions. A bad bundle is refused and the
others serve. A model whose current version was
refused does not fall back to another one in silence: its vectors would be of another space.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.engine.errors import Loading, NotReady, SpaceMismatch, UnknownModel, UnknownVersion, Unloaded
from app.engine.pace import Pace
from app.engine.shares import chosen
from app.proving import Refused
from bundle import Encoder, Manifest
from bundle.aliases import CURRENT, SHADOW
from bundle.history import Shares
from bundle.lineage import Origin


@dataclass(frozen=True, eq=False)
class Loaded:
    """One proven encoder.

    Attributes:
        load_s: how long reading, checking and proving it took.
        examples: JSON inputs that it takes as they are.
        pace: on this machine, measured on while it serves.
        origin: what it was made from.
    """

    encoder: Encoder
    load_s: float = 0.0
    examples: Sequence[Any] = ()
    pace: Pace = field(default_factory=Pace)
    origin: Origin = field(default_factory=Origin)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self.encoder.manifest


@dataclass(frozen=True)
class Model:
    """A model's versions.

    Attributes:
        current: the default version, loaded or not; None if the pointer is broken.
        versions: those that are loaded; the current one first.
        loading: versions that are being proven or loaded.
        aliases: other names of versions, each with the shares of those it stands for, in percent.
        leader: the first by name of the models that were published together with it.
        is_unloaded: somebody had it unloaded.
    """

    name: str
    current: str | None
    versions: Mapping[str, Loaded]
    refused: Sequence[Refused] = ()
    loading: Sequence[str] = ()
    aliases: Mapping[str, Shares] = field(default_factory=dict)
    leader: str = ""
    is_unloaded: bool = False

    @property
    def is_ready(self) -> bool:
        """The current version is loaded."""
        return self.current in self.versions

    @property
    def is_loading(self) -> bool:
        """The current version is about to be."""
        return self.current in self.loading

    def behind(self, name: str | None, key: str) -> str | None:
        """The version behind a name of a version; the current one is None, and any other name is itself.

        Args:
            name: of a version, or an alias.
            key: decides which of two versions it is, where they share an alias.
        """
        if name is None or name == CURRENT:
            return None
        if name in self.versions or name in self.loading or (shares := self.aliases.get(name)) is None:
            return name
        return chosen(shares, f"{self.leader or self.name}/{name}", key)


@dataclass(frozen=True)
class Registry:
    """Every model of the directory, by name.

    Attributes:
        aliases: other names, each for a model or a version of it, as `text/2`; models' own names come first.
        split_key: what decides for this caller which of two versions is his, where they share an alias.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    split_key: str = ""

    @cached_property
    def has_splits(self) -> bool:
        """Two versions share an alias somewhere."""
        return any(len(shares) > 1 for model in self.models.values() for shares in model.aliases.values())

    @property
    def loaded(self) -> list[Loaded]:
        """Every loaded encoder."""
        return [loaded for model in self.models.values() for loaded in model.versions.values()]

    @property
    def refused(self) -> list[Refused]:
        """Everything that was refused."""
        return [refused for model in self.models.values() for refused in model.refused]

    @property
    def usable_aliases(self) -> dict[str, str]:
        """The aliases that lead to a model of this registry."""
        return {
            name: target
            for name, target in self.aliases.items()
            if name not in self.models and target.partition("/")[0] in self.models
        }

    def resolve(self, name: str) -> tuple[str, str | None]:
        """Model and version that a name stands for: `text`, `text/2`, `text/champion` or an alias of one."""
        if name in self.models:
            return name, None
        model, _, version = (self.aliases.get(name) or name).partition("/")
        return (model, version or None) if model in self.models else (name, None)

    def shadow_of(self, loaded: Loaded) -> Loaded | None:
        """The version in the shadow of this one: the alias `shadow` names it, and this one is current."""
        model = self.models.get(loaded.manifest.name)
        if model is None or not (shares := model.aliases.get(SHADOW)):
            return None
        candidate = model.versions.get(next(iter(shares)))
        return candidate if model.versions.get(model.current or "") is loaded is not candidate else None

    def model(self, name: str) -> Model:
        """The model of that name or alias. Raises UnknownModel, which names those that are loaded."""
        if (model := self.models.get(self.resolve(name)[0])) is None:
            aliases = self.usable_aliases
            also = f"; other names: {', '.join(aliases)}" if aliases else ""
            nearest = _nearest(name, [*self.models, *aliases])
            raise UnknownModel(f"no such model; {nearest}loaded: {', '.join(self.models)}{also}")
        return model

    def find(
        self,
        name: str,
        *,
        version: str | None = None,
        space: str | None = None,
        dim: int | None = None,
        unit: bool = False,
        is_sparse: bool = False,
    ) -> Loaded:
        """The encoder for a request.

        Args:
            name: of the model, or an alias.
            version: exactly this one, or the one behind an alias; by default the current one.
            space: what the vectors must be of. Without a `version` that is no alias, any loaded version that
                gives such vectors will do, the one that is meant first: a client that is pinned to a space
                keeps working while its index is encoded anew with the next version.
            dim: the vectors' length, where the caller wants them cut; a part of the space.
            unit: they will be normalised; a part of it, too, where the encoder does not do so itself.
            is_sparse: the space is that of sparse vectors, which has no other parts.

        Raises:
            UnknownModel, UnknownVersion, Loading, NotReady, SpaceMismatch: naming what is loaded.
        """
        model = self.model(name)
        asked = version or self.resolve(name)[1]
        version = model.behind(asked, self.split_key)
        if model.is_unloaded:
            raise Unloaded(model.name)
        if (version or model.current) in model.loading:
            raise Loading(model.name)
        is_exact = version is not None and version == asked
        if version is not None and version not in model.versions and (is_exact or space is None):
            also = f"; aliases: {', '.join(model.aliases)}" if model.aliases else ""
            raise UnknownVersion(
                f"that version is not loaded; loaded: {', '.join(model.versions) or 'none'}{also}"
            )
        if space is not None:

            def given(one: Loaded) -> list[str]:
                if is_sparse:
                    return [one.encoder.sparse_space] if one.encoder.sparse_space else []
                return one.manifest.spaces_of(dim or one.manifest.dim, unit=unit)

            first = [one for name, one in model.versions.items() if name == version]
            candidates = first if is_exact else [*first, *model.versions.values()]
            return _of_space(model, candidates, space, given, is_exact=is_exact)
        if version is None and not model.is_ready:
            raise NotReady(
                "the model's current version could not be loaded, and another one would give vectors of "
                f"another space; versions that can be asked for: {', '.join(model.versions) or 'none'}"
            )
        return model.versions[version or str(model.current)]


def _of_space(
    model: Model,
    candidates: Sequence[Loaded],
    space: str,
    given: Callable[[Loaded], Sequence[str]],
    *,
    is_exact: bool,
) -> Loaded:
    for loaded in candidates:
        if space in given(loaded):
            return loaded
    if not is_exact and model.loading:
        raise Loading(model.name)
    spaces = [
        f"{loaded.manifest.version}: {' and '.join(given(loaded)) or 'none'}"
        for loaded in model.versions.values()
    ]
    raise SpaceMismatch(
        "the vectors would not be of the space you expect, so they could not be compared with yours; "
        f"loaded versions and their spaces: {', '.join(spaces) or 'none'}"
    )


def _nearest(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name[:64], known, n=1)
    return f"did you mean {nearest[0]!r}? " if nearest else ""
