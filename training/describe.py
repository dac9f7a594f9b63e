"""A published encoder, described anew: figures that were measured of it, its languages, what it is not for.

    bundle + results.json of `encodery evaluate` -> the same graph and files, another card -> Draft

A version is never overwritten, so this is another one; its space is the same, since nothing that decides a
number is changed, and indexes stay good.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bundle.directory import CARD, GOLDEN
from bundle.golden import Golden
from bundle.manifest import ERROR, Language, Manifest, Metric
from bundle.publish import Draft
from bundle.store import Store
from training.card import MADE_BY, with_card
from training.errors import ConfigError

VERSIONS = (2,)  # of results.json that are read


def described(
    store: Store,
    name: str,
    version: str,
    *,
    results: Sequence[Path] = (),
    languages: Sequence[str] = (),
    not_for: str | None = None,
) -> Draft:
    """The encoder with more said of it; what is not given stays as it was.

    Args:
        store: where it is published.
        name: of the model.
        version: of it.
        results: files of `encodery evaluate text` or `image`, the later ones of more weight.
        languages: by ISO 639-1.
        not_for: in words.

    Raises:
        ConfigError: it is one of a pair, or a file has no figures of it.
        BundleError: it is not published, or not sound.
    """
    contents = store.read(name, version)
    manifest = contents.manifest
    if manifest.peers:
        raise ConfigError(
            f"{name} is one of a pair, whose figures are of the run that made it; train it again"
        )
    metrics = dict(manifest.trained.metrics)
    for path in results:
        metrics |= figures_of(path, manifest)
    draft = Draft.of(contents)
    draft = replace(
        draft,
        trained=manifest.trained.model_copy(update={"metrics": metrics}),
        languages=checked_languages(languages) or draft.languages,
        not_for=draft.not_for if not_for is None else not_for,
    )
    _, _, made = contents.files[CARD].decode().partition(MADE_BY)
    return with_card(draft, made, Golden.from_bytes(contents.files[GOLDEN]).inputs[0])


def figures_of(path: Path, manifest: Manifest) -> dict[str, Metric]:
    """The headline of every set, at full length, beside all others of the run. Raises ConfigError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] not in VERSIONS:
            raise ConfigError(f"{path} is of another version than this program writes; evaluate again")
        own = next((one for one in content["encoders"] if one["space"] == manifest.space), None)
        if own is None:
            raise ConfigError(
                f"{path} has no figures of {manifest.name}/{manifest.version}: none of its space"
            )
        return dict(_figures(content, own["name"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is no results.json of `encodery evaluate`: {error!r}") from None


def _figures(content: Mapping[str, Any], own: str) -> Iterator[tuple[str, Metric]]:
    full = {one["name"]: one["dimensions"][0] for one in content["encoders"]}
    called = {one["name"]: "teacher" for one in content["encoders"] if one["source"] == "teacher"}
    for task in content["tasks"]:
        rows = {
            row["encoder"]: row
            for row in content["figures"]
            if (row["task"], row["kind"], row["figure"]) == (task["name"], task["kind"], task["headline"])
            and row["dimension"] == full.get(row["encoder"])
        }
        others = {called.get(name, name): row["value"] for name, row in rows.items() if name != own}
        figure = f"{task['headline']} {task['name']}, {content['split']}"
        yield figure, Metric(value=rows[own]["value"], baselines=others)
        yield figure + ERROR, Metric(value=rows[own]["standard_error"])


def checked_languages(languages: Sequence[str]) -> Sequence[str]:
    """The languages themselves. Raises ConfigError for what is none by its form."""
    try:
        return TypeAdapter(list[Language]).validate_python(list(languages))
    except ValidationError:
        raise ConfigError("a language is two small letters of ISO 639-1, as en") from None
