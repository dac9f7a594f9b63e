"""From a TOML file to typed settings, or to a sentence that names the key and the way out."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from bundle.words import said
from training.config.sections import Run, Section
from training.errors import ConfigError
from training.kinds import KINDS

R = TypeVar("R", bound=Run)


def load_config(path: Path) -> Run:
    """Read one run.

    Raises:
        ConfigError: naming the file, the key, what is wrong with it, and the nearest valid key.
    """
    try:
        return parse_config(tomllib.loads(path.read_bytes().decode()))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # of TOML, or of UTF-8
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_config_as(path: Path, settings: type[R]) -> R:
    """Read one run for a command that is about one kind. Raises ConfigError."""
    run = load_config(path)
    if not isinstance(run, settings):
        wanted = next(kind for kind, row in KINDS.items() if row.settings_class() is settings)
        raise ConfigError(f"{path} is of kind {run.kind!r}; this command is about runs of kind {wanted!r}")
    return run


def parse_config(raw: dict[str, Any]) -> Run:
    """Read one run from parsed TOML. Raises ConfigError."""
    settings = _settings_of(raw)
    try:
        return settings.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(raw, settings, fault) for fault in error.errors(include_url=False)]
        raise ConfigError("; ".join(dict.fromkeys(lines))) from None


def config_sha256(config: Run) -> str:
    """Digest of every setting, defaults included."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def _settings_of(raw: dict[str, Any]) -> type[Run]:
    kind, valid = raw.get("kind"), " or ".join(f'"{kind}"' for kind in KINDS)
    if kind is None:
        raise ConfigError(f"kind is missing; it must be {valid}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"kind is {kind!r}; it must be {valid}")
    return KINDS[kind].settings_class()


def _explain(raw: dict[str, Any], settings: type[Run], fault: Any) -> str:
    location = fault["loc"]
    key = ".".join(map(str, location))
    table = _table_of(settings, location) if location else settings
    if location and (new := table.moved(str(location[-1]))) is not None:
        return _moved(raw, location, new)
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] != "extra_forbidden":
        message = said(fault)
        return f"{key}: {message}" if key else message
    nearest = difflib.get_close_matches(str(location[-1]), list(table.model_fields), n=1, cutoff=0.0)
    return f"{key} is no setting; the nearest is {nearest[0]}" if nearest else f"{key} is no setting"


def _moved(raw: Any, location: tuple[str | int, ...], new: str) -> str:
    """A key of an earlier version, and how it is written now."""
    for part in location:
        raw = raw[part]
    value = json.dumps(raw)  # as TOML writes numbers, texts, truth values and lists of them
    return f"{'.'.join(map(str, location))} = {value} is now {new.format(value=value)}"


def _table_of(settings: type[Section], location: tuple[str | int, ...]) -> type[Section]:
    """The Section in which the key at that location stands."""
    table = settings
    for part in location[:-1]:
        if not isinstance(part, int) and part in table.model_fields:
            table = _section_of(table.model_fields[part].annotation) or table
    return table


def _section_of(annotation: Any) -> type[Section] | None:
    """The Section inside `X`, `X | None`, `list[X]` or `Annotated[list[X], ...]`, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inside = map(_section_of, getattr(annotation, "__args__", ()))
    return next((found for found in inside if found is not None), None)
