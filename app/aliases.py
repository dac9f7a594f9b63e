"""Other names for models, for clients whose names are fixed: `text-embedding-3-small` for `text`.

A setting: a table in the TOML file, or `name=model` with commas in the environment. A model may be named with
its version, `text/2`. The map is plain: what a name means to whom is the registry's to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

LONGEST_NAME = 64
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
        if not (isinstance(target, str) and _TARGET.fullmatch(target)):
            raise ValueError("write name=model or name=model/version, several with commas")
        if not (0 < len(name) <= LONGEST_NAME and name.isprintable()) or set(name) & set(",= "):
            raise ValueError(f"a name has 1 to {LONGEST_NAME} characters, none of them a space, comma or =")
    return aliases


def written_aliases(aliases: Mapping[str, str]) -> str:
    """The same as they stand in an environment variable."""
    return ",".join(f"{name}={target}" for name, target in aliases.items())


Aliases: TypeAlias = Annotated[Mapping[str, str], NoDecode, BeforeValidator(parse_aliases)]
