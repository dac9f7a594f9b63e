"""A third kind of input that only tests know: grey pictures in the PGM format (netpbm), made 4 x 4.

A dataclass, a preprocessor and a row for the table of kinds: all that a kind is to anybody else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle import KINDS, Facts, Input, InputError, Kind, Limit, Prepared, Truncate
from bundle.preprocess.base import Arrays, Layout
from bundle.preprocess.facts import warning_field
from bundle.preprocess.kind import LimitSetting
from bundle.preprocess.media import Media

SIDE = 4
MEDIA_TYPE = "image/x-portable-graymap"
MEDIA = Media("picture", "a picture", "pictures")
_HEAD = re.compile(rb"P5\s(\d+)\s(\d+)\s255\s")


@dataclass(frozen=True)
class Picture:
    """Grey values, uint8 [height, width]; at least SIDE pixels each way."""

    pixels: npt.NDArray[np.uint8]

    @classmethod
    def from_bytes(cls, content: bytes) -> Picture:
        """Read PGM. Raises InputError."""
        head = _HEAD.match(content)
        if head is None:
            raise InputError(0, "invalid_picture", "no binary PGM with 255 grey values; convert it")
        width, height = int(head[1]), int(head[2])
        if width < SIDE or height < SIDE or len(content) - head.end() != width * height:
            raise InputError(0, "invalid_picture", f"its size is wrong, or under {SIDE} x {SIDE} pixels")
        return cls(np.frombuffer(content, np.uint8, offset=head.end()).reshape(height, width))

    @classmethod
    def from_json(cls, value: Any) -> Picture:
        """Read PGM in any form of the bytes of a file. Raises InputError."""
        return cls.from_bytes(MEDIA.content_of(value))

    def to_bytes(self) -> bytes:
        """As PGM."""
        height, width = self.pixels.shape
        return b"P5 %d %d 255\n" % (width, height) + self.pixels.tobytes()

    def to_json(self) -> Any:
        return base64.b64encode(self.to_bytes()).decode()

    @property
    def size(self) -> int:
        return self.pixels.size

    @property
    def key(self) -> Hashable:
        return self.to_bytes()

    @property
    def now(self) -> None:
        return None

    def prompted(self, prompt: str) -> Picture:
        return self


@dataclass(frozen=True, slots=True)
class PictureFacts(Facts):
    """What is told about a picture."""

    shrunk: tuple[int, ...] = warning_field("the picture's own height and width, where it was made smaller")


class PicturePreprocessor:
    """Cells of a SIDE x SIDE grid, each the mean of what lies in it, from 0 to 1."""

    input_names = ("cells",)

    def __init__(self, content: bytes, max_length: int, languages: Sequence[str] = ()) -> None:
        pass

    @property
    def layouts(self) -> tuple[Layout, ...]:
        return (Layout(self.input_names, self.collate),)

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        return [self._prepare_one(index, one) for index, one in enumerate(inputs)]

    def _prepare_one(self, index: int, one: Input) -> Prepared:
        if not isinstance(one, Picture):
            raise InputError(index, "wrong_kind", "this model takes pictures")
        rows = np.array_split(one.pixels.astype(np.float32) / 255, SIDE)
        cells = [cell.mean() for row in rows for cell in np.array_split(row, SIDE, axis=1)]
        shrunk = one.pixels.shape if one.pixels.shape != (SIDE, SIDE) else ()
        return Prepared({"cells": np.array(cells, np.float32)}, cost=1, facts=PictureFacts(shrunk=shrunk))

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        return {"cells": np.stack([one.arrays["cells"] for one in batch])}  # [n, SIDE * SIDE]

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "contentEncoding": "base64", "contentMediaType": MEDIA_TYPE}

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Picture.from_json(value)

    def key(self, item: Input) -> Hashable:
        return item.key

    def extremes(self) -> Sequence[Prepared]:
        return ()


def _pixels(one: Picture) -> int:
    return int(one.pixels.size)


PICTURE = Kind(
    name="picture",
    noun="a picture",
    plural="pictures",
    json_schema={"type": "string", "contentEncoding": "base64", "description": "a picture"},
    examples=(),
    limits=(
        Limit(
            "pixels", _pixels, LimitSetting("max_picture_pixels", 64 * 64, "largest picture"), json_bytes=2
        ),
    ),
    columns=MEDIA.columns,
    tensors=MEDIA.tensors,
    from_tensors=MEDIA.from_tensors,
    file="picture.json",
    version=1,
    load=PicturePreprocessor,
    facts=PictureFacts,
    media_types={MEDIA_TYPE: Picture.from_bytes},
)


@contextmanager
def known() -> Iterator[None]:
    """The row in the table of kinds, for as long as a test needs it."""
    KINDS[PICTURE.name] = PICTURE
    try:
        yield
    finally:
        del KINDS[PICTURE.name]


def picture(seed: int, height: int = SIDE, width: int = SIDE) -> Picture:
    """Random grey values."""
    random = np.random.default_rng(seed)
    return Picture(random.integers(0, 256, (height, width), dtype=np.uint8))
