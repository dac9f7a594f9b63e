"""What turns domain inputs into model tensors. Used by training, evaluation and serving alike.

    prepare   per request, before the queue: checks, tokenises, looks up; knows each input's cost
    collate   per batch, after the queue: pads and stacks into the graph's inputs

`KINDS` is the one table of input kinds. Knows nothing of HTTP, asyncio, torch or onnxruntime.
"""

from __future__ import annotations

from bundle.preprocess.audio import AUDIO
from bundle.preprocess.base import (
    HasTerms,
    KnowsById,
    Layout,
    Pieces,
    Prepared,
    Preprocessor,
    TakesApart,
    Token,
    Tokenizes,
    Truncate,
)
from bundle.preprocess.facts import Facts, Truncation
from bundle.preprocess.features import FEATURES
from bundle.preprocess.image import IMAGE
from bundle.preprocess.kind import Columns, Kind, Limit, LimitSetting, Tensor
from bundle.preprocess.text import TEXT
from bundle.preprocess.vector import VECTOR

KINDS: dict[str, Kind] = {kind.name: kind for kind in (TEXT, FEATURES, VECTOR, IMAGE, AUDIO)}

__all__ = [
    "KINDS",
    "Columns",
    "Facts",
    "HasTerms",
    "Kind",
    "KnowsById",
    "Layout",
    "Limit",
    "LimitSetting",
    "Pieces",
    "Prepared",
    "Preprocessor",
    "TakesApart",
    "Tensor",
    "Token",
    "Tokenizes",
    "Truncate",
    "Truncation",
]
