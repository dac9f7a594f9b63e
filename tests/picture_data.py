"""Small sets of pictures to train on in seconds: plain colours, in folders and tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

COLOURS = {"red": (220, 30, 30), "blue": (30, 40, 220), "the cat": (30, 200, 60), "a lamp": (230, 220, 40)}
SIDE = 32


def write_sets(root: Path, each: int = 8) -> None:
    """`train`, a folder of folders by colour; colours-train.jsonl and colours-val.jsonl, with captions."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        rows = []
        for name, colour in COLOURS.items():
            for number in range(each):
                path = root / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                noise = random.integers(-25, 26, (SIDE, SIDE, 3))
                Pillow.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
                relative = path.relative_to(root).as_posix()
                rows.append({"path": relative, "label": name, "captions": [name, f"{name} on the mat"]})
        (root / f"colours-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
