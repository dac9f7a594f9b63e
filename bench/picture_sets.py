"""Writes the tables that `image` is trained and measured on, of three free sets of pictures.

    python -m bench.picture_sets DATA

DATA has the folders image-grocery, image-clothing and image-emoji; the tables go into DATA itself. Where the
sets come from, and how they are split, is in docs/image.md.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SPLITS = {"validation": "val"}
STYLE = "noto"  # the drawings that emoji are measured in; all three are learned from


def rows(data: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the table's name and the row of every picture."""
    yield from _grocery(data / "image-grocery")
    yield from _clothing(data / "image-clothing")
    yield from _emoji(data / "image-emoji")


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / "images.jsonl").open() as file:
        yield from map(json.loads, file)


def _grocery(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    classes = {one["id"]: one for one in json.loads((folder / "classes.json").read_text())}

    def row(path: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
        name, coarse = (known[key].replace("-", " ") for key in ("name", "coarse"))
        captions = [name, coarse, known["description"]]
        return {"path": f"{folder.name}/{path}", "label": name, "coarse": coarse, "captions": captions}

    for one in _lines(folder):
        yield f"grocery-{one['split']}", row(one["path"], classes[one["label"]])
    for known in classes.values():
        yield "grocery-train", row(known["iconic"], known)


def _clothing(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in _lines(folder):
        split = SPLITS.get(one["split"], one["split"])
        yield (
            f"clothing-{split}",
            {"path": f"{folder.name}/{one['path']}", "label": one["label"], "captions": [one["label"]]},
        )


def _emoji(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for one in _lines(folder):
        keywords = ", ".join(one["keywords"])
        for style, path in one["images"].items():
            if one["split"] == "train" or style == STYLE:
                captions = [one["caption"], *([keywords] if keywords else [])]
                yield f"emoji-{one['split']}", {"path": f"{folder.name}/{path}", "captions": captions}


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data: Path = parser.parse_args().data
    tables = defaultdict[str, list[str]](list)
    for name, row in rows(data):
        tables[name].append(json.dumps(row, ensure_ascii=False) + "\n")
    for name, lines in tables.items():
        (data / f"{name}.jsonl").write_text("".join(lines))
        print(f"{name}.jsonl: {len(lines)} pictures")  # what the command is for


if __name__ == "__main__":
    main()
