"""Runs `encodery evaluate image`: an encoder of pictures, beside the texts of the space that it joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bundle.manifest import Manifest
from bundle.progress import phase
from training.errors import ConfigError
from training.image.suite.page import page
from training.image.suite.sets import PictureSet, measure, tables_of
from training.published import Published

KIND, SCHEMA_VERSION = "image", 2


def run(name: str, place: Published, *, data: Path, split: str, out: Path, version: str | None = None) -> str:
    """Measure, write results.json and results.html, and give the table for the terminal.

    Raises:
        ConfigError: there are no sets, or the encoders are of no common space.
        BundleError, ServerError: an encoder is not there.
    """
    image = place.open(name, version)
    joins = image.manifest.joins
    if image.manifest.kind != KIND or joins is None:
        raise ConfigError(f"{name} is no encoder of pictures in the space of one of texts")
    text = place.open(joins.name, joins.version)
    sets = list[PictureSet]()
    for table in tables_of(data, split):
        with phase(f"measure {table.stem}"):
            sets.append(measure(table, split, image.encode, text.encode))
    title = f"{name}/{image.manifest.version} beside {joins.name}/{joins.version}, split {split}"
    told = f"{image.manifest.space}, {image.source}, {datetime.now(UTC).isoformat(timespec='seconds')}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(
        json.dumps(_content(image.manifest, image.source, split, sets), indent=1) + "\n"
    )
    (out / "results.html").write_text(page(title, told, sets), encoding="utf-8")
    return report(sets)


def report(sets: Sequence[PictureSet]) -> str:
    """The table for the terminal, in Markdown."""
    lines = ["| set, pictures | figure | value |", "|---|---|---|"]
    lines += [
        f"| {one.name}, {len(one.examples):,} | {figure} | {value.mean:.3f} ± {value.standard_error:.3f} |"
        for one in sets
        for figure, value in one.figures.items()
    ]
    return "\n".join(lines)


def _content(manifest: Manifest, source: str, split: str, sets: Sequence[PictureSet]) -> dict[str, object]:
    """In the form of `encodery evaluate text`, so that `models describe` reads it: a task for each figure."""
    name = f"{manifest.name}/{manifest.version}"
    tasks, figures = list[dict[str, object]](), list[dict[str, object]]()
    for one in sets:
        for figure, value in one.figures.items():
            task = {"name": one.name, "kind": figure}
            tasks.append(task | {"headline": figure, "pictures": len(one.examples), "texts": len(one.texts)})
            figures.append(
                {
                    "task": one.name,
                    "kind": figure,
                    "figure": figure,
                    "encoder": name,
                    "dimension": manifest.dim,
                    "value": value.mean,
                    "standard_error": value.standard_error,
                }
            )
    encoder = {"name": name, "space": manifest.space, "source": source, "dimensions": [manifest.dim]}
    return {
        "schema_version": SCHEMA_VERSION,
        "split": split,
        "encoders": [encoder],
        "tasks": tasks,
        "figures": figures,
    }
