"""Runs `encodery evaluate image`: an encoder of pictures, beside the texts of the space that it joined."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bundle.progress import phase
from training.errors import ConfigError
from training.image.suite.page import page
from training.image.suite.sets import PictureSet, measure, tables_of
from training.published import Published

KINDS = ("image", "text")


def run(name: str, place: Published, *, data: Path, split: str, out: Path, version: str | None = None) -> str:
    """Measure, write results.json and results.html, and give the table for the terminal.

    Raises:
        ConfigError: there are no sets, or the encoders are of no common space.
        BundleError, ServerError: an encoder is not there.
    """
    image = place.open(name, version)
    joins = image.manifest.joins
    if image.manifest.kind != KINDS[0] or joins is None:
        raise ConfigError(f"{name} is no encoder of pictures in the space of one of texts")
    text = place.open(joins.name, joins.version)
    sets = list[PictureSet]()
    for table in tables_of(data, split):
        with phase(f"measure {table.stem}"):
            sets.append(measure(table, split, image.encode, text.encode))
    title = f"{name}/{image.manifest.version} beside {joins.name}/{joins.version}, split {split}"
    told = f"{image.manifest.space}, {image.source}, {datetime.now(UTC).isoformat(timespec='seconds')}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(_content(title, sets), indent=1) + "\n")
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


def _content(title: str, sets: Sequence[PictureSet]) -> dict[str, object]:
    return {
        "title": title,
        "sets": {
            one.name: {
                "pictures": len(one.examples),
                "texts": len(one.texts),
                "figures": {
                    figure: {"value": value.mean, "standard_error": value.standard_error}
                    for figure, value in one.figures.items()
                },
            }
            for one in sets
        },
    }
