"""Profiles: several settings under one name, for a server in whose place another one stood.

Each gives what that server does where ours is stricter by default and both are right to somebody. A setting
that is given by itself wins over the profile. What is stricter for everybody's good is in no profile:
docs/decisions/0019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

Compatibility: TypeAlias = Literal["none", "tei"]

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "none": {},
    "tei": {"auto_truncate": True, "openai_unknown_model": "default", "openai_token_ids": True},
}


def with_profile(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, and those that the profile among them adds."""
    name = given.get("compatibility")
    return {**(PROFILES.get(name, {}) if isinstance(name, str) else {}), **given}
