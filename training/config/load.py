"""From a TOML file to typed settings, or to a sentence that names the key and the nearest valid one."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from training.config.sections import Section
from training.errors import ConfigError
from training.recommender.settings import RecommenderRun
from training.text.settings import TextRun

RunConfig: TypeAlias = Annotated[TextRun | RecommenderRun, Field(discriminator="kind")]
_NO_KIND = 'kind is missing; it must be "text" or "recommender"'
_RUN: TypeAdapter[TextRun | RecommenderRun] = TypeAdapter(RunConfig)


def load_config(path: Path) -> TextRun | RecommenderRun:
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


def parse_config(raw: dict[str, Any]) -> TextRun | RecommenderRun:
    """The same from parsed TOML. Raises ConfigError."""
    try:
        return _RUN.validate_python(raw)
    except ValidationError as error:
        lines = [_explain(raw, fault) for fault in error.errors(include_url=False)]
        raise ConfigError("; ".join(dict.fromkeys(lines))) from None


def config_sha256(config: TextRun | RecommenderRun) -> str:
    """Digest of every setting, defaults included."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def _explain(raw: dict[str, Any], fault: Any) -> str:
    location = fault["loc"][1:]  # the first part is the kind
    if fault["type"].startswith("union_tag"):
        return f'kind is {raw["kind"]!r}; it must be "text" or "recommender"' if "kind" in raw else _NO_KIND
    key = ".".join(map(str, location))
    if fault["type"] == "missing":
        return f"{key} is missing"
    if fault["type"] != "extra_forbidden":
        message = fault["msg"].removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    valid = _keys_beside(fault["loc"])
    nearest = difflib.get_close_matches(str(location[-1]), valid, n=1, cutoff=0.0)
    return f"{key} is no setting; the nearest is {nearest[0]}" if nearest else f"{key} is no setting"


def _keys_beside(loc: tuple[str | int, ...]) -> list[str]:
    """The valid keys of the table in which the key at `loc` stands."""
    table: Any = {"text": TextRun, "recommender": RecommenderRun}[str(loc[0])]
    for part in loc[1:-1]:
        if isinstance(part, int):
            continue
        table = _section_of(table.model_fields[part].annotation)
    return list(table.model_fields)


def _section_of(annotation: Any) -> Any:
    """The Section inside `X`, `X | None`, `list[X]` or `Annotated[list[X], ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(
        found for inner in getattr(annotation, "__args__", ()) if (found := _section_of(inner)) is not None
    )
