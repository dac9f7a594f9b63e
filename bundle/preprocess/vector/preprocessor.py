"""Vectors as a graph's input: their length is checked, and nothing else is done."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bundle.errors import InputError, ManifestError
from bundle.inputs import Input
from bundle.preprocess.base import Arrays, Layout, Prepared, Truncate
from bundle.preprocess.facts import Facts
from bundle.preprocess.vector.input import Vector
from bundle.words import first_error

SOURCE = "source"  # the graph's input, float32 [n, dim]
_FACTS = Facts()


class VectorFile(BaseModel):
    """The content of vectors.json."""

    model_config = ConfigDict(extra="forbid", strict=True)

    schema_version: Literal[1] = 1
    dim: int = Field(ge=1, le=65_536)

    def to_bytes(self) -> bytes:
        """The file as written."""
        return (self.model_dump_json(indent=1) + "\n").encode()


class VectorPreprocessor:
    """Vectors of one length.

    Args:
        content: of vectors.json.
        max_length: of the manifest; nothing to this kind.
        languages: the same.

    Raises:
        ManifestError: the file is not as it should be.
    """

    input_names = (SOURCE,)

    def __init__(self, content: bytes, max_length: int, languages: Sequence[str] = ()) -> None:
        try:
            self.dim = VectorFile.model_validate_json(content).dim
        except ValidationError as error:
            raise ManifestError(f"vectors.json: {first_error(error)}") from None
        self.layouts = (Layout(self.input_names, self.collate),)

    def prepare(self, inputs: Sequence[Input], truncate: Truncate = "none") -> list[Prepared]:
        return [self._prepare_one(index, one) for index, one in enumerate(inputs)]

    def _prepare_one(self, index: int, one: Input) -> Prepared:
        if not isinstance(one, Vector):
            raise InputError(index, "wrong_kind", "this model takes vectors")
        if one.values.size != self.dim:
            raise InputError(
                index, "wrong_length", f"{one.values.size} numbers; vectors of this space have {self.dim}"
            )
        return Prepared({SOURCE: one.values}, cost=1, facts=_FACTS)

    def collate(self, batch: Sequence[Prepared]) -> Arrays:
        return {SOURCE: np.stack([one.arrays[SOURCE] for one in batch])}  # [n, dim]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "number"}, "minItems": self.dim, "maxItems": self.dim}

    def from_json(self, value: Any, now: float | None = None) -> Input:
        return Vector.from_json(value)

    def key(self, item: Input) -> Hashable:
        return item.key

    def extremes(self) -> Sequence[Prepared]:
        return ()
