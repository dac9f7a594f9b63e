"""A picture taken apart into squares: one that is left out is painted in the mean colour of the picture."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from bundle.preprocess.base import Pieces
from bundle.preprocess.image.input import PIXELS_PER_CHAR, Image
from bundle.preprocess.image.pixels import Fit, Pixels, pixels_of

FINEST = 8  # squares along a side


@dataclass(frozen=True, eq=False, slots=True)
class Square:
    """A picture that was decoded before, so that it can be painted over.

    Attributes:
        values: red, green and blue, uint8 [side, side, 3].
    """

    values: npt.NDArray[np.uint8]

    @property
    def size(self) -> int:
        """Nothing is left to be decoded."""
        return 1 + self.values.size // PIXELS_PER_CHAR

    @property
    def key(self) -> Hashable:
        """A digest of the pixels, which no file is equal to."""
        return "square", hashlib.sha256(self.values.tobytes()).digest()

    @property
    def now(self) -> None:
        """A picture means the same at any time."""
        return None

    def prompted(self, prompt: str) -> Square:
        """The same: nothing stands before a picture."""
        return self

    def to_json(self) -> Any:
        """Base64 of the picture as PNG."""
        file = io.BytesIO()
        Pillow.fromarray(self.values).save(file, "PNG")
        return base64.b64encode(file.getvalue()).decode()


@dataclass(frozen=True, slots=True)
class _Cell:
    """A square of the grid: pixels of the encoder's square, from and up to."""

    left: int
    top: int
    right: int
    bottom: int


def pieces_of(image: Image, side: int, fit: Fit, most: int) -> Pieces:
    """At most so many squares, as many along either side, of what the encoder sees. Raises InputError."""
    found = pixels_of(image, side, fit)
    edges = np.linspace(0, side, max(1, min(FINEST, isqrt(most))) + 1).astype(int).tolist()
    spans = list(pairwise(edges))
    cells = [_Cell(left, top, right, bottom) for top, bottom in spans for left, right in spans]
    seen = [(cell, place) for cell in cells if (place := _place(cell, image, found, side, fit)) is not None]
    kept, places = [cell for cell, _ in seen], [place for _, place in seen]
    return Pieces("squares", places, partial(_keep, image, found.values, kept))


def _place(cell: _Cell, image: Image, found: Pixels, side: int, fit: Fit) -> Mapping[str, int] | None:
    """Where a square is in the upright picture, in its pixels; None for one beside it."""
    width, height = image.header.width, image.header.height
    if found.is_turned:
        width, height = height, width
    edge = min(width, height) if fit == "crop" else max(width, height)
    x, y = (width - edge) / 2, (height - edge) / 2  # of the encoder's square; under 0 where it is padded
    left, right = (min(max(round(x + at * edge / side), 0), width) for at in (cell.left, cell.right))
    top, bottom = (min(max(round(y + at * edge / side), 0), height) for at in (cell.top, cell.bottom))
    if (left == right and width >= side) or (top == bottom and height >= side):
        return None
    return {"x": left, "y": top, "width": right - left, "height": bottom - top}


def _keep(
    image: Image, values: npt.NDArray[np.uint8], cells: Sequence[_Cell], kept: npt.NDArray[np.bool_]
) -> Image | Square:
    if kept.all():
        return image
    painted = values.copy()
    mean = values.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
    for cell, is_kept in zip(cells, kept, strict=True):
        if not is_kept:
            painted[cell.top : cell.bottom, cell.left : cell.right] = mean
    return Square(painted)
