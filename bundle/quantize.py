"""Vectors in fewer bits, by fixed rules: what an index stores when float32 is too much.

    float16   rounded; still compared with float32 vectors
    int8      round(127 x / limit), cut to -127..127; uint8 is the same plus 128
    ubinary   one bit per dimension, 1 where x > 0; eight to a byte, the first in the highest bit
    binary    the same bytes minus 128, as sentence-transformers has it

`limit` is the largest component of the bundle's golden vectors at that length: one number per encoder, the
same wherever it is loaded. Every score of two encoders is scaled by the same factor, so order is kept.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

OutputType: TypeAlias = Literal["float32", "float16", "int8", "uint8", "binary", "ubinary"]
OUTPUT_TYPES: tuple[OutputType, ...] = get_args(OutputType)
FLOATS = frozenset({"float32", "float16"})  # compared with each other
PACKED = frozenset({"binary", "ubinary"})  # eight dimensions to a byte
LEVELS = 127
_LARGEST_FLOAT16 = 65504.0


def quantized(vectors: npt.NDArray[np.float32], kind: OutputType, limit: float) -> npt.NDArray[Any]:
    """The vectors as `kind`: [n, dim], or [n, dim / 8] for the packed ones, whose dim is a multiple of 8."""
    if kind == "float32":
        return vectors
    if kind == "float16":
        return np.asarray(np.clip(vectors, -_LARGEST_FLOAT16, _LARGEST_FLOAT16), dtype="<f2")
    if kind in PACKED:
        packed = np.packbits(vectors > 0, axis=1)
        return packed if kind == "ubinary" else np.asarray(packed.astype(np.int16) - 128, dtype=np.int8)
    scaled = vectors.astype(np.float64) * (LEVELS / limit)  # for the smallest limits more than float32 holds
    levels = np.clip(np.rint(scaled), -LEVELS, LEVELS).astype(np.int16)
    return np.asarray(levels, np.int8) if kind == "int8" else np.asarray(levels + 128, np.uint8)


def int8_limit(golden: npt.NDArray[np.float32]) -> float:
    """The largest component of golden vectors; 1 if all are zero."""
    return float(np.abs(golden).max(initial=0.0)) or 1.0
