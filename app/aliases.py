"""Other names for models, for clients whose names are fixed: `text-embedding-3-small` for `text`.

A setting: a table in the TOML file, or `name=model` with commas in the environment; or a file of their own,
`app.live_aliases`. A model may be named with its version, `text/2`; a name may have `*` for any part of it.
What a name means to whom is the registry's to say.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

LONGEST_NAME = 64
ANY = "*"
WRITE = "write name=model or name=model/version"
_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"  # of a model, and of a version
_TARGET = re.compile(rf"{_NAME}(/{_NAME})?")


def parse_aliases(value: Any) -> dict[str, str]:
    """The aliases, each with the model that it stands for. Raises ValueError."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        aliases = {name.strip(): target.strip() for name, _, target in pairs}
        if len(aliases) != len(pairs):
            raise ValueError("a name is given twice")
    else:
        aliases = dict(value) if isinstance(value, Mapping) else {"": ""}
    for name, target in aliases.items():
        if wrong := wrong_alias(name, target):
            raise ValueError(f"{wrong}; several with commas")
    return aliases


def wrong_alias(name: str, target: Any) -> str | None:
    """What is wrong with an alias; None if nothing is."""
    if not (isinstance(target, str) and _TARGET.fullmatch(target)):
        return f"{WRITE}, with a name as `encodery models list` shows it"
    if not (0 < len(name) <= LONGEST_NAME and name.isprintable()) or set(name) & set(",= "):
        return f"a name has 1 to {LONGEST_NAME} characters, none of them a space, comma or ="
    return None


def useless(name: str, target: str, versions: Mapping[str, Collection[str]]) -> str | None:
    """Why an alias has no effect, given each model's versions that are there or come; None if it has one."""
    model, _, version = target.partition("/")
    if name in versions:
        return "a model has this name"
    if model not in versions:
        return "its model is not there; `encodery models list` shows those that are"
    if version and version not in versions[model]:
        return "its version is not loaded; GET /models shows those that are"
    return None


class AliasTable(Mapping[str, str]):
    """Aliases as they are written, found by name: by one that is written just so, or by the first pattern.

    What it holds are the names as they are written, so that `in` is not true of all that a pattern fits.
    """

    def __init__(self, written: Mapping[str, str] | None = None) -> None:
        self._written = dict(written or {})
        self._patterns = [(name.split(ANY), target) for name, target in self._written.items() if ANY in name]

    def __getitem__(self, name: str) -> str:
        if (target := self._written.get(name)) is not None:
            return target
        for parts, target in self._patterns:
            if _fits(name, parts):
                return target
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self._written

    def __iter__(self) -> Iterator[str]:
        return iter(self._written)

    def __len__(self) -> int:
        return len(self._written)


def is_pattern(name: str) -> bool:
    """Tell whether an alias is one for many names, and so none that could be listed as a model."""
    return ANY in name


def _fits(name: str, parts: list[str]) -> bool:
    """Tell whether a name consists of the parts with anything between them; in time that grows with it."""
    first, *middle, last = parts
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def written_aliases(aliases: Mapping[str, str]) -> str:
    """The same as they stand in an environment variable."""
    return ",".join(f"{name}={target}" for name, target in aliases.items())


Aliases: TypeAlias = Annotated[Mapping[str, str], NoDecode, BeforeValidator(parse_aliases)]
