"""What answers with vectors say beside them, in JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from app.api.service import EncodeResult
from app.api.sparse import SparseResult
from app.api.warnings import warning_model, warnings_of

InputWarning = warning_model(
    "InputWarning",
    "What is to be told about one input. Only what applies is there.",
    {"index": (int, ...)},
)


class Usage(BaseModel):
    """What was encoded."""

    items: int
    tokens: int


class SparseEmbedding(BaseModel):
    """Weights of terms; all others are 0. In base64, little-endian uint32 and float32."""

    indices: list[int] | str = Field(description="ids of the model's vocabulary, ascending")
    values: list[float] | str


class EncodeResponse(BaseModel):
    """Vectors in the order of the inputs."""

    model: str
    version: str
    space: str = Field(description="only vectors of equal spaces can be compared")
    dim: int
    embeddings: list[list[float]] | list[list[int]] | list[str] | list[SparseEmbedding]
    usage: Usage
    warnings: list[InputWarning]  # type: ignore[valid-type]  # made of the kinds' facts


def described(result: EncodeResult | SparseResult) -> dict[str, Any]:
    """What an answer in JSON says beside the vectors."""
    return {
        "model": result.loaded.manifest.name,
        "version": result.loaded.manifest.version,
        "space": result.space,
        "dim": result.dim,
        "usage": {"items": len(result.facts), "tokens": result.tokens},
        "warnings": warnings_of(result.facts),
    }
