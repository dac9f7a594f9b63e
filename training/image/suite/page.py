"""results.html: figures, and for some texts the pictures that were found. One file that opens offline."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image as Pillow

from bundle.preprocess.image import Image
from bundle.preprocess.image.pixels import pixels_of
from training.html import card, document, table
from training.image.measures import average_precision
from training.image.suite.sets import PictureSet

SHOWN, FOUND, SIDE = 12, 8, 96  # texts of a set, pictures of a text, pixels


def page(title: str, told: str, sets: Sequence[PictureSet]) -> str:
    """The whole file."""
    head = f"<h1>{escape(title)}</h1><p class=quiet>{escape(told)}</p>"
    return document(title, [head, *map(_section, sets)])


def _section(found: PictureSet) -> str:
    rows = [["figure", "value"]]
    rows += [[name, f"{one.mean:.4f} ±{one.standard_error:.4f}"] for name, one in found.figures.items()]
    shown = "".join(card(_text(found, number)) for number in _numbers(found))
    return (
        f"<h2>{escape(found.name)}: {len(found.examples):,} pictures, {len(found.texts):,} texts</h2>"
        + card(table(rows))
        + "<p class=quiet>For texts from the worst to the best, the pictures that were found first; "
        "a blue edge marks the right ones.</p>" + f'<div class="cards">{shown}</div>'
    )


def _numbers(found: PictureSet) -> list[int]:
    """Texts at even distances, from the one that finds worst to the one that finds best."""
    scores, right = found.text_vectors @ found.vectors.T, found.is_right
    precision = [average_precision(row, is_right) for row, is_right in zip(scores, right, strict=True)]
    order = np.argsort(precision, kind="stable")
    places = np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)
    return [int(order[place]) for place in places]


def _text(found: PictureSet, number: int) -> str:
    scores = found.vectors @ found.text_vectors[number]
    best = np.argsort(-scores, kind="stable")[:FOUND]
    pictures = "".join(
        f'<img alt="" src="{_thumbnail(found, int(row))}" style="width:{SIDE}px;height:{SIDE}px;margin:2px;'
        f'border:3px solid {"var(--mark)" if found.right[row] == number else "transparent"}">'
        for row in best
    )
    return f"<h3>{escape(found.texts[number])}</h3><p>{pictures}</p>"


def _thumbnail(found: PictureSet, row: int) -> str:
    pixels = pixels_of(Image.from_bytes(found.examples[row].content()), SIDE, "crop").values
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
