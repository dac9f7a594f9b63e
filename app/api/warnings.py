"""Warnings as they stand in answers: what the facts of any kind of input have to tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import BaseModel, Field, create_model

from bundle import KINDS, Facts
from bundle.preprocess.facts import warning_names


def warnings_of(facts: Iterable[Facts]) -> list[dict[str, Any]]:
    """One warning, with its `index`, for each input about which there is something to tell."""
    found = []
    for index, one in enumerate(facts):
        if warnings := one.warnings:
            found.append({"index": index, **warnings})
    return found


def warning_model(name: str, summary: str, place: Mapping[str, Any]) -> type[BaseModel]:
    """What a warning looks like, for the API's document; only what applies is in an answer.

    Args:
        name: of the model.
        summary: what it is about.
        place: the field that says what the warning belongs to, as `create_model` takes it.
    """
    told: dict[str, Any] = {}
    for facts in dict.fromkeys(kind.facts for kind in KINDS.values()):
        types = get_type_hints(facts)
        for one in fields(facts):
            if one.name in warning_names(facts):  # type: ignore[arg-type]  # mypy takes it for a Facts
                description = one.metadata["description"]
                told[one.name] = (types[one.name] | None, Field(None, description=description))
    return create_model(name, __doc__=summary, **place, **told)
