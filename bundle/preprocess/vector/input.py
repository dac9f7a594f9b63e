"""A vector, as some encoder gave it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.errors import InputError
from bundle.values import json_type

NUMBERS_PER_CHAR = 8  # a number is copied once, a character of a text goes through a tokenizer
LARGEST = 1e15  # of a number: squares of sums of products with it are finite in float32


@dataclass(frozen=True, eq=False)
class Vector:
    """A vector of finite numbers; float32 [d], d >= 1.

    Raises:
        InputError: it is none.
    """

    values: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        values = self.values
        if not (isinstance(values, np.ndarray) and values.dtype == np.float32 and values.ndim == 1):
            raise _no_vector(values)
        if not values.size:
            raise InputError(0, "empty", "a vector has one number at least; leave it out")
        if not np.isfinite(values).all():
            raise InputError(0, "not_finite", "a number of the vector is not finite in float32")
        if np.abs(values).max() > LARGEST:
            raise InputError(
                0,
                "not_finite",
                f"a number of the vector is over {LARGEST:g}, and no product with it is finite",
            )

    @classmethod
    def from_json(cls, value: Any) -> Vector:
        """A list of numbers, base64 of little-endian float32, or a row that was read so before."""
        if isinstance(value, np.ndarray):
            return cls(value)
        if isinstance(value, str):
            return cls(_of_base64(value))
        if not isinstance(value, list) or any(type(number) not in (int, float) for number in value):
            raise _no_vector(value)
        with np.errstate(over="ignore"):
            try:
                return cls(np.array(value, np.float64).astype(np.float32))
            except OverflowError:  # an integer that no float holds
                raise InputError(0, "not_finite", "a number of the vector is not finite in float32") from None

    @property
    def size(self) -> int:
        return 1 + self.values.size // NUMBERS_PER_CHAR

    @property
    def key(self) -> Hashable:
        return self.values.tobytes()

    @property
    def now(self) -> None:
        return None

    def prompted(self, prompt: str) -> Vector:
        return self

    def to_json(self) -> Any:
        numbers: list[float] = self.values.tolist()
        return numbers


def _of_base64(text: str) -> npt.NDArray[np.float32]:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except (binascii.Error, ValueError):
        raise InputError(
            0, "wrong_kind", "this model takes vectors, and this text is no base64 of little-endian float32"
        ) from None


def _no_vector(value: Any) -> InputError:
    return InputError(
        0,
        "wrong_kind",
        f"this model takes vectors, this is {json_type(value)}; send a list of numbers for each",
    )
