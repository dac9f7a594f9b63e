"""What the caller is told about an input: one type, which a kind with more to tell extends."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Truncation:
    """Something of an input that was longer than the encoder takes, and was cut to the limit."""

    field: str
    length: int
    limit: int
    unit: str


def warning_field(description: str, default: Any = ()) -> Any:
    """A field of `Facts`; the description goes into the API's document."""
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True, slots=True)
class Facts:
    """What the caller is told about one input; a kind with more to tell extends it.

    Attributes:
        tokens: read by the encoder; 0 for kinds without tokens. Every other field becomes a warning.
    """

    tokens: int = 0
    truncated: tuple[Truncation, ...] = warning_field("what was cut, how long it was, and the limit")
    unknown: tuple[str, ...] = warning_field("fields with a value that training did not see")

    @property
    def warned(self) -> list[str]:
        """Names of the warnings that apply."""
        return [name for name in warning_names(type(self)) if getattr(self, name)]  # type: ignore[arg-type]  # as below

    @property
    def warnings(self) -> dict[str, Any]:
        """The warnings that apply, by name, as JSON."""
        found = {}
        for name in warning_names(type(self)):  # type: ignore[arg-type]  # mypy takes it for a Facts
            if value := getattr(self, name):
                found[name] = _as_json(value)
        return found


@cache
def warning_names(kind: type[Facts]) -> tuple[str, ...]:
    """The warnings that inputs of a kind can give."""
    return tuple(one.name for one in fields(kind) if one.name != "tokens")


def _as_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_as_json(one) for one in value]
    # `asdict` copies deeply, which takes five times as long.
    names = _field_names(type(value))  # type: ignore[arg-type]  # mypy takes it for no Hashable
    return {name: getattr(value, name) for name in names} if names else value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind)) if is_dataclass(kind) else ()
