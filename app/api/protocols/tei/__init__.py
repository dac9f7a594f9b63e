"""Text Embeddings Inference: /embed and its relatives, for the default model."""

from app.api.protocols.tei import embed, info, other_kinds, tokens, vertex
from app.api.protocols.tei.protocol import TEI

__all__ = ["TEI", "embed", "info", "other_kinds", "tokens", "vertex"]
