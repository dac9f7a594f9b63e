"""Pictures as a graph's input: uint8, which the graph normalises."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle.errors import InputError, ManifestError
from bundle.inputs import Input
from bundle.preprocess.base import Arrays, Layout, Pieces, Prepared, Truncate
from bundle.preprocess.image.input import MEDIA, Image, ImageFacts
from bundle.preprocess.image.pieces import Square, pieces_of
from bundle.preprocess.image.pixels import Fit, pixels_of
from bundle.words import first_error

PIXELS = "pixels"  # the graph's input, uint8 [n, side, side, 3]
PATCH = 16  # pixels each way that cost as much as a token
FORMATS = ("image/jpeg", "image/png", "image/webp", "image/gif")


class ImageFile(BaseModel):
    """The content of image.json.

    Attributes:
        side: of the square that the graph takes, in pixels.
        fit: `crop` takes the middle of the longer side, `pad` all of it with white beside.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    side: int = Field(ge=16, le=256)
    fit: Fit = "crop"

    def to_bytes(self) -> bytes:
        """The file as written."""
        return (self.model_dump_json(indent=1) + "\n").encode()


class ImagePreprocessor:
    """Pictures of any size, made squares of one side.

    Args:
        content: of image.json.
        max_length: of the manifest; nothing to this kind.
        languages: the same.

    Raises:
        ManifestError: the file is not as it should be.
    """

    input_names = (PIXELS,)

    def __init__(self, content: bytes, max_length: int, languages: Sequence[str] = ()) -> None:
        try:
            self.file = ImageFile.model_validate_json(content)
        except ValidationError as error:
            raise ManifestError(f"image.json: {first_error(error)}") from None
        self.layouts = (Layout(self.input_names, self.collate),)
        self._cost = max(1, (self.file.side // PATCH) ** 2)

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        return [self._prepare_one(index, one) for index, one in enumerate(inputs)]

    def _prepare_one(self, index: int, one: Input) -> Prepared:
        if isinstance(one, Square):
            return Prepared({PIXELS: one.values}, self._cost, ImageFacts())
        if not isinstance(one, Image):
            raise InputError(index, "wrong_kind", "this model takes pictures")
        try:
            found = pixels_of(one, self.file.side, self.file.fit)
        except InputError as error:
            raise error.at(index) from error.__cause__
        return Prepared({PIXELS: found.values}, self._cost, found.facts)

    def pieces(self, item: Input, most: int, truncate: Truncate = "none") -> Pieces:
        """Squares; what is left out gets the mean colour. Raises InputError."""
        if not isinstance(item, Image):
            raise InputError(0, "wrong_kind", "this model takes pictures")
        return pieces_of(item, self.file.side, self.file.fit, most)

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        return {PIXELS: np.stack([one.arrays[PIXELS] for one in batch])}  # [n, side, side, 3]

    def schema(self) -> dict[str, Any]:
        return MEDIA.json_schema(dict.fromkeys(FORMATS))

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Image.from_json(value)

    def key(self, item: Input) -> Hashable:
        return item.key

    def extremes(self) -> Sequence[Prepared]:
        return ()
